"""Two nodes and a switch, for tests that run them as programs: each answers, and each asks the other."""

from __future__ import annotations

from edri_sim import Manager, Request, Topology, event, handles


@event
class Shout(Request[str]):
    text: str


@event
class Whisper(Request[str]):
    text: str


@event
class AskLeft(Request[str]):
    """Answered by the right one, who asks the left one."""

    text: str


@event
class AskRight(Request[str]):
    """Answered by the left one, who asks the right one."""

    text: str


class Left(Manager):
    @handles
    async def shout(self, event: Shout) -> str:
        return event.text.upper()

    @handles
    async def ask_right(self, event: AskRight) -> str:
        return await self.request(Whisper(event.text))


class Right(Manager):
    @handles
    async def whisper(self, event: Whisper) -> str:
        return event.text.lower()

    @handles
    async def ask_left(self, event: AskLeft) -> str:
        return await self.request(Shout(event.text))


topology = Topology("pair")
topology.switch("hub")
topology.node("left", Left, switch="hub")
topology.node("right", Right, switch="hub")

lasting = Topology("lasting")
lasting.switch("hub")
lasting.node("left", Left, switch="hub", durable=True)

alone = Topology("alone")
alone.node("left", Left)

split = Topology("split")
split.switch("hub")
split.switch("spare")
split.node("left", Left, switch="hub")
split.node("right", Right, switch="spare")

no_topology = {"left": Left}
