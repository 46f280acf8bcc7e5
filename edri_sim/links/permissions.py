"""Which nodes may send and receive which types of events: allow-lists, at the switch and at the receiver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from edri_sim.errors import SettingsError

_VERBS = ("publish", "subscribe")


class Permissions:
    """Patterns of wire names by node: ``{"images": {"publish": ["Resized"], "subscribe": ["Resize*"]}}``.

    A node that is not named may do what ``"*"`` may; without ``"*"``, nothing. An empty table allows everything.

    Raises:
        SettingsError: the table has another form; the message says where.
    """

    def __init__(self, table: Mapping[str, Mapping[str, Sequence[str]]] | None = None) -> None:
        self._table = {node: _checked(node, rules) for node, rules in (table or {}).items()}
        self._known: dict[tuple[str, str, str], bool] = {}

    def __bool__(self) -> bool:
        return bool(self._table)

    def allows(self, node: str, verb: str, type_: str) -> bool:
        """Whether ``node`` may ``publish`` or ``subscribe`` to the type."""
        if not self._table:
            return True
        key = (node, verb, type_)
        found = self._known.get(key)
        if found is None:
            rules = self._table.get(node, self._table.get("*", {}))
            found = any(fnmatchcase(type_, pattern) for pattern in rules.get(verb, ()))
            if len(self._known) < 100_000:  # A peer that makes names up must not fill the memory.
                self._known[key] = found
        return found


def _checked(node: str, rules: Any) -> Mapping[str, Sequence[str]]:
    if not isinstance(rules, Mapping):
        raise SettingsError(f"permissions of {node!r}: expected a table of {' and '.join(_VERBS)}, not {rules!r}")
    for verb, patterns in rules.items():
        if verb not in _VERBS:
            raise SettingsError(f"permissions of {node!r}: {verb!r} is unknown: expected {' or '.join(_VERBS)}")
        if not isinstance(patterns, list | tuple) or not all(isinstance(pattern, str) for pattern in patterns):
            raise SettingsError(f'permissions of {node!r}: {verb} takes a list of names, such as ["Resize*"]')
    return rules
