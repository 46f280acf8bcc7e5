"""Who finds an event type again: the registry, and the table of a started node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edri_sim.errors import DeclarationError
from edri_sim.events import Notification, Registry, Request, event, event_type, registry

if TYPE_CHECKING:
    from tests.declaring import Declare

pytest_plugins = ["tests.declaring"]
pytestmark = pytest.mark.usefixtures("fresh_registry")


class Base(Notification):
    """Not an event itself, only a base."""


def test_a_rerun_cell_replaces_the_definition_and_keeps_its_place(declare: Declare) -> None:
    first = declare("@event\nclass X(Notification):\n  a: int\n@event\nclass Y(Notification): pass").X
    second = declare("@event\nclass X(Notification):\n  a: str").X
    assert [entry.name for entry in registry.snapshot().by_name.values()] == ["X", "Y"]
    assert registry.snapshot().by_name["X"].cls is second is not first


def test_a_rerun_cell_that_renames_its_event_frees_the_old_name(declare: Declare) -> None:
    declare("@event(name='old')\nclass X(Notification): pass")
    declare("@event(name='new')\nclass X(Notification): pass")
    assert ("old" in registry, "new" in registry, len(registry)) == (False, True, 1)


def test_two_classes_under_one_name_are_refused_and_both_are_named(declare: Declare) -> None:
    declare("@event\nclass X(Notification): pass", "one")
    with pytest.raises(DeclarationError, match=r"named 'X': one\.X and two\.X; .*@event\(name=\.\.\.\)"):
        declare("@event\nclass X(Notification): pass", "two")
    declare("@event(name='two.X')\nclass X(Notification): pass", "two")
    assert len(registry) == 2


def test_a_started_node_keeps_its_table_and_refuses_a_changed_class(declare: Declare) -> None:
    first = declare("@event\nclass X(Notification):\n  a: int").X
    table = registry.snapshot()
    second = declare("@event\nclass X(Notification):\n  a: int").X
    assert table.resolve(first).cls is first
    with pytest.raises(DeclarationError, match=r"the event X \(declared\.X\) .* redefined since; restart the node"):
        table.resolve(second)
    assert registry.snapshot().resolve(second).cls is second


def test_a_started_node_takes_a_class_declared_later(declare: Declare) -> None:
    table = registry.snapshot()
    late = declare("@event\nclass Late(Notification): pass").Late
    assert table.concrete(Notification) == ()
    assert table.resolve(late) is event_type(late)
    assert table.concrete(Notification) == (event_type(late),)
    with pytest.raises(DeclarationError, match="is not an event"):
        table.resolve(int)


def test_a_base_class_expands_to_its_registered_subclasses_in_order() -> None:
    @event
    class B(Base):
        pass

    @event
    class A(Base):
        pass

    @event
    class Other(Notification):
        pass

    @event
    class OfA(A):
        pass

    table = registry.snapshot()
    assert [entry.cls for entry in table.concrete(Base)] == [B, A, OfA]
    assert [entry.cls for entry in table.concrete(A)] == [A, OfA]
    assert [entry.cls for entry in table.concrete(Notification)] == [B, A, Other, OfA]
    assert table.concrete(Request) == ()


def test_reprs_have_no_addresses() -> None:
    @event
    class A(Notification):
        a: int = 1

    assert repr(registry) == "<Registry of 1 event types>"
    assert repr(Registry()) == "<Registry of 0 event types>"
    assert repr(registry.snapshot()) == "<TypeTable of 1 event types>"
    assert "0x" not in repr(A()) + repr(event_type(A))
