"""What a type checker has to refuse: every line that ends in ``# error`` and no other."""

from __future__ import annotations

from edri_sim.events import Notification, Request, event
from tests.typing.good import Resize, Resized, Thumbnail, request

resize = Resize("cat.jpg")
resize.width = 3  # error
Resize(3)  # error
Resize("cat.jpg", 3, (), 4)  # error
Resize()  # error
Resized("cat.jpg", other=1)  # error


@event(delivery="sometimes")  # error
class Sometimes(Notification):
    pass


class Plain:
    pass


event(Plain)  # error


async def use() -> None:
    name: str = await request(resize)  # error
    await request(Resized("cat.jpg"))  # error
    narrow: Request[str] = resize  # error
    thumbnail: Thumbnail = await request(resize)
    print(name, narrow, thumbnail)
