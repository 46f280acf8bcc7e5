"""Values by key, for all nodes of a topology: what one asks a :class:`Store`, and what it may answer.

``await node.request(Set("limits/upload", pack(25)))``, or through what ``Store.of(node)`` returns:
``await store.set("limits/upload", 25)``.
"""

from edri_sim.storing.client import Item, StoreClient
from edri_sim.storing.events import (
    Changed,
    CompareAndSet,
    Counted,
    Delete,
    Entry,
    Get,
    Increment,
    ListEntries,
    Opened,
    Page,
    Set,
    SetIfAbsent,
    Watch,
)
from edri_sim.storing.refusals import (
    BadArgument,
    IntegerOverflow,
    NotAnInteger,
    OutcomeUnknown,
    StoreError,
    StoreFull,
    StoreUnavailable,
    TooManyWatches,
    ValueTooLarge,
    VersionConflict,
    WatchEnded,
)
from edri_sim.storing.store import Store
from edri_sim.storing.values import pack, unpack
from edri_sim.storing.watching import Update, Updates

__all__ = [
    "BadArgument",
    "Changed",
    "CompareAndSet",
    "Counted",
    "Delete",
    "Entry",
    "Get",
    "Increment",
    "IntegerOverflow",
    "Item",
    "ListEntries",
    "NotAnInteger",
    "Opened",
    "OutcomeUnknown",
    "Page",
    "Set",
    "SetIfAbsent",
    "Store",
    "StoreClient",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "TooManyWatches",
    "Update",
    "Updates",
    "ValueTooLarge",
    "VersionConflict",
    "Watch",
    "WatchEnded",
    "pack",
    "unpack",
]
