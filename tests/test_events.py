"""Declaring events: what ``@event`` makes of a class, what it refuses, and who finds it again."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import cloudpickle
import msgspec
import pytest

from edri_sim.errors import DeclarationError
from edri_sim.events import Notification, Request, Tunnel, event, event_type

if TYPE_CHECKING:
    from tests.declaring import Declare

pytest_plugins = ["tests.declaring"]
pytestmark = pytest.mark.usefixtures("fresh_registry")


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    path: str


Item = TypeVar("Item")


# ---------------------------------------------------------------------------------------------------- what is made


def test_an_event_is_a_frozen_slotted_dataclass_that_keeps_its_name_and_doc() -> None:
    @event
    class Resize(Request[Thumbnail]):
        """Make it small."""

        image: str
        width: int = 128

    resize = Resize("cat.jpg")
    assert (resize.image, resize.width, resize) == ("cat.jpg", 128, Resize("cat.jpg", 128))
    assert Resize.__doc__ == "Make it small."
    assert Resize.__qualname__.endswith("<locals>.Resize")
    assert not hasattr(resize, "__dict__")
    assert hash(resize) == hash(Resize("cat.jpg"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        resize.width = 3  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        resize.other = 3  # type: ignore[attr-defined]


def test_the_event_type_holds_what_was_declared() -> None:
    @event(name="photos.Resize", ack="handled", idempotent=True)
    class Resize(Request["Thumbnail | None"]):
        image: str

    @event(delivery="latest")
    class Progress(Notification):
        done: float

    @event
    class Chat(Tunnel[str, bytes]):
        room: str

    resize, progress, chat = (event_type(cls) for cls in (Resize, Progress, Chat))
    assert (resize.name, resize.cls, resize.kind, resize.ack) == ("photos.Resize", Resize, "request", "handled")
    assert (resize.idempotent, resize.reply, resize.up, resize.down) == (True, Thumbnail | None, None, None)
    assert (progress.name, progress.kind, progress.delivery) == ("Progress", "notification", "latest")
    assert (progress.ack, progress.idempotent, progress.reply) == ("received", False, None)
    assert (chat.kind, chat.up, chat.down, chat.reply) == ("tunnel", str, bytes, None)
    assert event_type(Resize("cat.jpg")) is resize


def test_the_codecs_are_found_through_the_event_type() -> None:
    @event
    class Resize(Request[Thumbnail]):
        image: str

    @event
    class Resized(Notification):
        image: str

    entry = event_type(Resize)
    assert entry.codec.decode(entry.codec.encode(Resize("a"))) == Resize("a")
    assert entry.reply_codec.decode(entry.reply_codec.encode(Thumbnail("b"))) == Thumbnail("b")
    with pytest.raises(DeclarationError, match="Resized is a notification, and only a request has a reply"):
        _ = event_type(Resized).reply_codec


def test_a_request_may_answer_with_none() -> None:
    @event
    class Forget(Request[None]):
        key: str

    entry = event_type(Forget)
    assert entry.reply is type(None)
    assert entry.reply_codec.decode(entry.reply_codec.encode(None)) is None


def test_super_and_methods_work_in_the_slotted_class() -> None:
    @event
    class Shape(Notification):
        size: int = 1

        def area(self) -> int:
            return self.size**2

        @property
        def label(self) -> str:
            return "shape"

        @classmethod
        def unit(cls) -> Shape:
            return cls(1)

    @event
    class Cube(Shape):
        depth: int = 2

        def area(self) -> int:
            return 6 * super().area()

        @property
        def label(self) -> str:
            return "cube and " + super().label

        @classmethod
        def unit(cls) -> Cube:
            made = super().unit()
            assert isinstance(made, Cube)
            return made

    @event
    class OnlyProperty(Shape):
        @property
        def label(self) -> str:
            return "only " + super().label

    @event
    class OnlyClassMethod(Shape):
        @classmethod
        def unit(cls) -> Any:
            return super().unit()

    assert (Cube(3).area(), Cube(3).label, Cube.unit()) == (54, "cube and shape", Cube(1))
    assert OnlyProperty().label == "only shape"
    assert OnlyClassMethod.unit() == OnlyClassMethod(1)
    assert [field.name for field in dataclasses.fields(Cube)] == ["size", "depth"]


def test_a_subclass_of_an_event_needs_its_own_decorator() -> None:
    @event
    class Parent(Notification):
        size: int = 1

    class Child(Parent):
        pass

    with pytest.raises(DeclarationError, match=r"Child derives from the event Parent but lacks its own @event"):
        event_type(Child)
    with pytest.raises(DeclarationError, match=r"builtins\.int is not an event: derive it"):
        event_type(3)
    with pytest.raises(DeclarationError, match=r"a class is not an event: publish an object of it"):
        event_type(type(Parent))


def test_the_reply_type_is_found_through_generic_and_plain_bases() -> None:
    class Query(Request[list[Item]], Generic[Item]):
        pass

    @event
    class Names(Query[str]):
        prefix: str

    @event
    class LongNames(Names):
        least: int

    class Two(Tunnel[Item, str], Generic[Item]):
        pass

    @event
    class Talk(Two[int]):
        pass

    assert event_type(Names).reply == list[str]
    assert event_type(LongNames).reply == list[str]
    assert (event_type(Talk).up, event_type(Talk).down) == (int, str)


def test_names_of_the_declaring_scope_resolve_and_so_does_the_event_itself() -> None:
    @dataclasses.dataclass(frozen=True)
    class Local:
        x: int

    @event
    class Tree(Notification):
        local: Local
        children: tuple[Tree, ...] = ()
        parent: Tree | None = None
        by_name: dict[str, list[Tree]] = dataclasses.field(default_factory=dict)

    @event(name="Answer")
    class Ask(Request["Local"]):
        pass

    tree = Tree(Local(1), (Tree(Local(2)),), Tree(Local(3)), {"a": [Tree(Local(4))]})
    codec = event_type(Tree).codec
    assert codec.decode(codec.encode(tree)) == tree
    assert event_type(Ask).reply is Local


def test_every_kind_of_type_that_travels_may_be_a_field(declare: Declare) -> None:
    module = declare("""
class Colour(enum.Enum):
    RED = "red"
class Row(NamedTuple):
    a: int
    b: str = "b"
class Options(TypedDict, total=False):
    deep: list[int]
class Point(msgspec.Struct):
    x: float
UserId = NewType("UserId", int)
@event
class Inner(Notification):
    a: int
@event
class Everything(Notification):
    class Size(enum.IntEnum):
        SMALL = 1
    colour: Colour
    row: Row
    options: Options
    point: Point
    user: UserId
    inner: Inner
    size: Size
    when: datetime.datetime
    choice: Literal["a", 3]
    maybe: Optional[bytes]
    many: frozenset[int]
    pair: tuple[int, str]
    thumb: Thumbnail
    note: ClassVar[Callable[[], int]]
""")
    assert event_type(module.Everything).codec.name == "Everything"


# ------------------------------------------------------------------------------------------- to and from processes


@event(name="tests.Sent")
class Sent(Notification):
    a: int
    b: str = "b"


def test_events_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Sent(1))) == Sent(1)


def test_a_class_sent_by_value_works_and_can_be_registered_in_another_process(declare: Declare) -> None:
    module = declare("""
@event(name="by.value")
class ByValue(Request[Thumbnail]):
    a: int
    children: tuple[ByValue, ...] = ()
    def twice(self): return self.a * 2
""")
    entry = event_type(module.ByValue)
    sent = entry.codec.encode(module.ByValue(3, (module.ByValue(4),)))
    cloudpickle.register_pickle_by_value(module)
    try:
        parcel = cloudpickle.dumps((module.ByValue, sent))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    child = """
import pickle, sys
from edri_sim.events import event_type, registry
cls, sent = pickle.loads(sys.stdin.buffer.read())
entry = event_type(cls)
registry.add(entry)
value = entry.codec.decode(sent)
print(entry.name, value.twice(), value.children[0].a, entry.reply.__name__, registry.snapshot().resolve(cls) is entry)
"""
    done = subprocess.run([sys.executable, "-c", child], input=parcel, capture_output=True, check=False, timeout=60)
    assert done.stdout.decode().split() == ["by.value", "6", "4", "Thumbnail", "True"], done.stderr.decode()


def test_a_struct_may_be_a_reply() -> None:
    class Point(msgspec.Struct):
        x: float

    @event
    class Locate(Request[Point]):
        name: str

    codec = event_type(Locate).reply_codec
    assert codec.decode(codec.encode(Point(1.5))) == Point(1.5)
