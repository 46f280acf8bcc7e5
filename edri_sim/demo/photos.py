"""The photo service: its events, its workers, its managers, and the topology that both loops run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from edri_sim.demo.machine import Clock, time_slice
from edri_sim.errors import EdriError, HandlerError
from edri_sim.events import Notification, Request, event
from edri_sim.managers.manager import Manager
from edri_sim.managers.pool import Pool
from edri_sim.managers.worker import Worker, handles
from edri_sim.node import part
from edri_sim.service import Costs
from edri_sim.topology import Topology

NODE = "photos"
DESCRIBERS = 2


class PhotoFailed(EdriError):
    """No thumbnail could be made of a photo; the message says why."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small JPEG, its size in pixels, and the seconds of CPU that it took."""

    jpeg: bytes
    width: int
    height: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Description:
    """What a thumbnail shows; ``held`` is how many of the ``cpu`` seconds were Python's own, under the GIL."""

    palette: list[str]
    edges: float
    fingerprint: str
    cpu: float
    held: float


@dataclass(frozen=True, slots=True)
class Card:
    """All that is known of a photo."""

    path: str
    thumbnail: Thumbnail
    description: Description


@event
class Prepare(Request[Card]):
    """Make a photo's thumbnail, and describe it. ``width`` in pixels."""

    path: str
    width: int


@event
class Resize(Request[Thumbnail]):
    """Shrink a photo to at most ``width`` by ``width`` pixels."""

    path: str
    width: int


@event
class Describe(Request[Description]):
    """Find the colours and the fingerprint of a thumbnail."""

    path: str
    jpeg: bytes


@event
class Thumbnailed(Notification):
    """A photo has its thumbnail."""

    path: str
    fingerprint: str


@event
class Unreadable(Notification):
    """A photo could not be read."""

    path: str
    reason: str


@event
class Catalogue(Request[dict[str, str]]):
    """Ask for the fingerprints of all photos, by path."""


class Resizer(Worker):
    """Shrinks photos, in a process: decoding is work for a core. ``cpu`` is its clock of CPU seconds."""

    def __init__(self, cpu: Clock) -> None:
        self._cpu = cpu

    async def start(self) -> None:
        """Load Pillow before the first photo comes, so that no photo pays for it."""
        self._pictures = _pictures()

    @handles
    def resize(self, event: Resize) -> Thumbnail:
        """Make the thumbnail. Raises UnreadablePhoto."""
        begin = self._cpu()
        small = self._pictures.shrink(Path(event.path), event.width)
        return Thumbnail(small.jpeg, small.width, small.height, self._cpu() - begin)


class Describer(Worker):
    """Describes thumbnails, in a thread: Pillow lets go of the GIL. ``cpu`` is its clock of CPU seconds."""

    def __init__(self, cpu: Clock) -> None:
        self._cpu = cpu

    async def start(self) -> None:
        """Load Pillow before the first thumbnail comes."""
        self._pictures = _pictures()

    @handles
    def describe(self, event: Describe) -> Description:
        """Describe the thumbnail."""
        begin = self._cpu()
        raster = self._pictures.survey(event.jpeg)
        middle = self._cpu()
        palette, fingerprint = self._pictures.palette(raster), self._pictures.fingerprint(raster)
        end = self._cpu()
        return Description(palette, raster.edges, fingerprint, end - begin, end - middle)


def _pictures() -> ModuleType:
    """The module that needs Pillow, which only the extra ``lab`` brings."""
    from edri_sim.demo import pictures

    return pictures


class PhotoManager(Manager):
    """Answers Prepare, by way of two pools that :func:`topology` adds."""

    @handles
    async def prepare(self, event: Prepare) -> Card:
        """Shrink, describe, and tell who wants to know. Raises PhotoFailed."""
        try:
            thumbnail = await self.request(Resize(event.path, event.width))
        except HandlerError as error:
            reason = str(error.args[0]).partition(": ")[2]
            await self.notify(Unreadable(event.path, reason))
            raise PhotoFailed(reason) from None
        description = await self.request(Describe(event.path, thumbnail.jpeg))
        await self.notify(Thumbnailed(event.path, description.fingerprint))
        return Card(event.path, thumbnail, description)


class Progress(Manager):
    """Counts photos for whoever watches: ``advance`` is called for each."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self._advance = advance

    @handles
    async def thumbnailed(self, _: Thumbnailed) -> None:
        """One more."""
        self._advance()

    @handles
    async def unreadable(self, _: Unreadable) -> None:
        """One more, too."""
        self._advance()


class Index(Manager):
    """Keeps the fingerprint of each photo, and answers Catalogue."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    @handles
    async def thumbnailed(self, event: Thumbnailed) -> None:
        """Keep it."""
        self._known[event.path] = event.fingerprint

    @handles
    async def catalogue(self, _: Catalogue) -> dict[str, str]:
        """All that is known."""
        return dict(self._known)


def topology(*, workers: int, cores: int, cpu: Clock, advance: Callable[[], None]) -> Topology:
    """The photo service on one node: ``workers`` processes resize; ``cores`` are those of the simulated machine.

    ``cpu`` counts the CPU seconds of the thread that calls it; ``advance`` is called for each photo that is done.
    """

    class Photos(PhotoManager):
        resizers = Pool(Resizer, mode="process", size=workers, kwargs={"cpu": cpu})
        describers = Pool(Describer, mode="thread", size=DESCRIBERS, kwargs={"cpu": cpu})

    service = Topology("photo-service")
    service.node(NODE, Photos, part(Progress, advance), Index, cores=cores, costs=Costs(quantum=time_slice(cores)))
    return service
