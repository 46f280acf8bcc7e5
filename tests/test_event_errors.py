"""Every bad declaration is refused, with a message that names the class and the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edri_sim.errors import DeclarationError
from edri_sim.events import event, registry

if TYPE_CHECKING:
    from tests.declaring import Declare

pytest_plugins = ["tests.declaring"]
pytestmark = pytest.mark.usefixtures("fresh_registry")

BAD: dict[str, tuple[str, str]] = {
    "no subclass": ("class X:\n  a: int", "X is not a subclass of Notification, Request.* use @dataclass"),
    "two kinds": ("class X(Notification, Request[int]): pass", "X derives from Notification and Request: an event"),
    "list default": ("class X(Notification):\n  a: list[int] = []", r"X\.a: a list as default .*default_factory=list"),
    "dict default": ("class X(Notification):\n  a: dict[str, int] = {}", r"X\.a: a dict as default"),
    "set default": ("class X(Notification):\n  a: set[int] = set()", r"X\.a: a set as default"),
    "field default": ("class X(Notification):\n  a: list[int] = field(default=[])", r"X\.a: a list as default"),
    "lambda": ("class X(Notification):\n  a: Callable[[], int]", r"X\.a: a Callable cannot travel"),
    "lambda default": ("class X(Notification):\n  a: int = lambda: 3", r"X\.a: the default does not .* got function"),
    "default": ("class X(Notification):\n  a: int = None", r"X\.a: the default does not fit: .* got NoneType"),
    "lock": ("class X(Notification):\n  a: threading.Lock", r"X\.a: .*lock.* cannot travel"),
    "open file": ("class X(Notification):\n  a: IO[str]", r"X\.a: an IO cannot travel"),
    "text file": ("class X(Notification):\n  a: io.TextIOWrapper", r"X\.a: a TextIOWrapper cannot travel"),
    "object": ("class X(Notification):\n  a: object", r"X\.a: an object cannot travel"),
    "nested": ("class X(Notification):\n  a: Hidden", r"X\.a\.deep\[\]: a Callable cannot travel"),
    "raw": ("class X(Notification):\n  a: msgspec.Raw", r"X\.a: a raw cannot travel"),
    "flag": ("class F(enum.Flag):\n  A = 1\n@event\nclass X(Notification):\n  a: F", r"X\.a: combined flags"),
    "bytearray": ("class X(Notification):\n  a: bytearray", r"X\.a: a bytearray can change.*use bytes"),
    "memoryview": ("class X(Notification):\n  a: memoryview", r"X\.a: a memoryview is tied"),
    "tuple keys": ("class X(Notification):\n  a: dict[tuple[int, int], str]", r"X\.a: the keys of a dict have to be"),
    "union keys": ("class X(Notification):\n  a: dict[int | str, str]", r"X\.a: the keys of a dict have to be"),
    "any": ("class X(Notification):\n  a: Any", r"X\.a: Any .* says nothing of what travels"),
    "deep any": ("class X(Notification):\n  a: list[dict[str, Any]]", r"X\.a\[\]\[\]: Any"),
    "bare list": ("class X(Notification):\n  a: list", r"X\.a\[\]: Any .*bare list"),
    "bare dict": ("class X(Notification):\n  a: dict", r"X\.a\[key\]: Any|X\.a: the keys"),
    "open variable": ("class X(Notification, Generic[T]):\n  a: T", r"X\.a: Any .*open type variable"),
    "unknown name": ("class X(Notification):\n  a: Nope", r"X\.a: the annotation names 'Nope', which is not defined"),
    "nested name": ("class X(Notification):\n  a: list['Nope']", r"X\.a: the annotation names 'Nope'"),
    "no type": ("class X(Notification):\n  a: 3", r"X\.a: Type '3' is not supported"),
    "union": ("class X(Notification):\n  a: list[int] | set[int]", r"X\.a: Type unions may not contain more than one"),
    "init var": ("class X(Notification):\n  a: InitVar[int] = 3", r"X\.a: an InitVar is gone"),
    "underscore": ("class X(Notification):\n  _a: int", r"X\._a: names that begin with '_' are reserved: call .* 'a'"),
    "edri": ("class X(Notification):\n  __edri__: int", r"X\.__edri__: names that begin with '_' are reserved"),
    "bare request": ("class X(Request):\n  a: int", r"X does not say what .* derive it from Request\[R\]"),
    "open request": ("class X(Request[T], Generic[T]): pass", r"X does not say what it carries back"),
    "bare tunnel": ("class X(Tunnel):\n  a: int", r"X does not say what .* derive it from Tunnel\[Up, Down\]"),
    "open tunnel": ("class X(Tunnel[int, T]): pass", r"X does not say what it carries back"),
    "half a tunnel": ("class X(Tunnel[int]): pass", r"Tunnel\[int\]: expected Tunnel\[Up, Down\]"),
    "wide request": ("class X(Request[int, str]): pass", r"Request\[int, str\]: expected Request\[R\]"),
    "bound": ("class B(Request[int]): pass\n@event\nclass X(B[int]): pass", r"B\[int\]: .*B'> is not a generic class"),
    "any reply": ("class X(Request[Any]): pass", r"X: the reply type: Any"),
    "callable reply": ("class X(Request[Callable[[], int]]): pass", r"X: the reply type: a Callable cannot travel"),
    "unknown reply": ("class X(Request['Nope']): pass", r"X: the reply type: the annotation names 'Nope'"),
    "tunnel items": ("class X(Tunnel[int, object]): pass", r"X: the down type: an object cannot travel"),
    "slots": ("class X(Notification):\n  __slots__ = ()\n  a: int", r"X cannot be a frozen, slotted dataclass"),
    "order": ("class X(Notification):\n  a: int = 1\n  b: int", r"X cannot be a frozen, slotted dataclass: .*'b'"),
}


@pytest.mark.parametrize(("source", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_declaration_names_class_and_field(declare: Declare, source: str, message: str) -> None:
    decorated = source if "@event" in source else "@event\n" + source
    with pytest.raises(DeclarationError, match=message):
        declare(decorated)
    assert "X" not in registry


OPTIONS: dict[str, tuple[str, str]] = {
    "delivery": ("delivery='sometimes'", "X: @event.delivery='sometimes'. is unknown: use 'reliable' or 'latest'"),
    "ack": ("ack='never'", "X: @event.ack='never'. is unknown: use 'received' or 'handled'"),
    "idempotent": ("idempotent=True", "X: @event.idempotent=True. means nothing for a notification"),
    "empty name": ("name=''", "X: a wire name has 1 to 200 printable characters and no spaces, unlike ''"),
    "spaced name": ("name='a b'", "X: a wire name has"),
    "long name": ("name='a' * 201", "X: a wire name has"),
    "no name": ("name=3", "X: a wire name has"),
}


@pytest.mark.parametrize(("option", "message"), OPTIONS.values(), ids=OPTIONS.keys())
def test_a_bad_option_is_refused(declare: Declare, option: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declare(f"@event({option})\nclass X(Notification): pass")


def test_a_latest_request_is_refused(declare: Declare) -> None:
    with pytest.raises(DeclarationError, match="means nothing for a request"):
        declare("@event(delivery='latest')\nclass X(Request[int]): pass")


def test_only_classes_are_decorated() -> None:
    with pytest.raises(DeclarationError, match=r"@event decorates classes, not .*test_only_classes"):
        event(test_only_classes_are_decorated)  # type: ignore[call-overload]
