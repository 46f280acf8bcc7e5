"""Workers that decline what they are asked, and the error with which they do."""

from __future__ import annotations

from edri_sim import Worker, handles
from edri_sim.errors import Refused
from tests.runtime.cast import Ask, Told


class SoldOut(Refused):
    """None is left."""

    code = "refusers.sold_out"


class Shop(Worker):
    @handles
    async def ask(self, event: Ask) -> str:
        raise SoldOut(f"no {event.text} is left: come back tomorrow")

    @handles
    async def told(self, event: Told) -> None:
        raise SoldOut("nothing is left")


class PlainShop(Worker):
    @handles
    def ask(self, event: Ask) -> str:
        raise SoldOut(f"no {event.text} is left: come back tomorrow")
