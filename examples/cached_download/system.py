"""A page is downloaded now and then, and read all the time: the scheduler says when, the store keeps what came.

python examples/cached_download/simulate.py    # a day, in which the site is away for hours, in simulated time
python examples/cached_download/hurry.py       # the same in real time, with hours of a twentieth of a second
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgspec

from edri_sim import Manager, Notification, Request, Store, event, handles
from edri_sim.errors import RequestError
from edri_sim.errors import Refused

URL = "rates.example/today"


@event
class Download(Request[str]):
    """What the site has at this address."""

    url: str


@event
class Refresh(Notification):
    """It is time to look at the site again."""

    url: str


class Page(msgspec.Struct, frozen=True):
    """What was downloaded, and as the how-manieth time."""

    text: str
    number: int


@event
class ReadPage(Request[Page]):
    """The page as it was lately."""

    url: str


class SiteAway(Refused):
    """The site does not answer."""

    code = "cached_download.away"


class Site(Manager):
    """Somebody else's, and slow; it does not like to be asked often, and is away at times."""

    def __init__(self, hour: float) -> None:
        self.answers = 0
        self.away = False
        self._pause = hour / 1_000

    @handles
    async def download(self, event: Download) -> str:
        await asyncio.sleep(self._pause)
        if self.away:
            raise SiteAway(f"{event.url}: nobody is there")
        self.answers += 1
        return f"{event.url}, edition {self.answers}"


class Cache(Manager):
    """Answers from the store; there a page lives for three hours, so that a site may be away for two."""

    def __init__(self, hour: float) -> None:
        self._hour = hour

    @handles
    async def on_refresh(self, event: Refresh) -> None:
        try:
            await self.fetch(event.url)
        except RequestError as error:
            self.log.warning("the page stays as it is: %s", error)

    @handles
    async def read(self, event: ReadPage) -> Page:
        store = Store.of(self)
        while (page := await store.get(f"page/{event.url}", Page)) is None:
            # Of many who find nothing, one fetches it; should it die meanwhile, the next may after a while.
            if await store.set_if_absent(f"busy/{event.url}", True, ttl=self._hour / 10) is None:
                await asyncio.sleep(self._hour / 1_000)
                continue
            try:
                await self.fetch(event.url)
            finally:
                await store.delete(f"busy/{event.url}")
        return page

    async def fetch(self, url: str) -> None:
        """Download a page into the store. Raises a RequestError."""
        store = Store.of(self)
        text = await self.request(Download(url), timeout=30)
        count = await store.increment(f"downloads/{url}")
        await store.set(f"page/{url}", Page(text, count.value), ttl=3 * self._hour)


class Door(Protocol):
    """What one needs of a node."""

    async def request(self, event: Any, *, timeout: float | None = None) -> Any: ...


async def read_often(door: Door, times: int, pause: float) -> str:
    """What readers see, of whom ``times`` come, with so many seconds between them."""
    editions: dict[int, None] = {}
    failures = 0
    for _ in range(times):
        try:
            page = await door.request(ReadPage(URL))
            editions[page.number] = None
        except SiteAway:
            failures += 1
        await asyncio.sleep(pause)
    return f"{times} readings, {len(editions)} editions, {failures} in vain"
