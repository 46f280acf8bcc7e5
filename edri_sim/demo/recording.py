"""What the real part measured, and the services that the simulated part makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edri_sim.demo.drive import Answers
from edri_sim.demo.photos import Describe, Description, PhotoFailed, Prepare, Resize, Thumbnail
from edri_sim.service import Constant, Distribution, Empirical, Service

MOST_TAKEN = 0.95
"""The share of the cores that others can take in the model: with all of them taken, nothing of ours would ever end."""


@dataclass(frozen=True, slots=True)
class Recording:
    """CPU seconds of each handler's run, and the replies by photo.

    ``gil`` is the share of a description's CPU time in which Python held the GIL, ``loop`` the CPU seconds that the
    node's own thread spent on one photo (routing, codec, progress), and ``cpu`` all CPU seconds together. ``others`` is
    how many cores, in the mean, everything else on the machine kept busy; None if the system does not say.
    """

    resize: tuple[float, ...]
    describe: tuple[float, ...]
    gil: float
    loop: float
    cpu: float
    others: float | None
    thumbnails: Mapping[str, Thumbnail]
    descriptions: Mapping[str, Description]
    errors: Mapping[str, str]

    @classmethod
    def of(cls, answers: Answers, *, loop: float, busy: float, wall: float, cores: int) -> Recording:
        """The recording of a real run of ``wall`` seconds that got ``answers``.

        Meanwhile the loop's thread worked for ``loop`` seconds, and all programs on its ``cores`` for ``busy``; NaN
        where that is not known.
        """
        cards = answers.cards
        described = [card.description for card in cards]
        resize = tuple(card.thumbnail.cpu for card in cards)
        describe = tuple(one.cpu for one in described)
        cpu = sum(resize) + sum(describe) + loop
        return cls(
            resize=resize,
            describe=describe,
            gil=min(1.0, sum(one.held for one in described) / sum(describe)) if sum(describe) else 0.0,
            loop=loop / max(1, len(cards) + answers.failed),
            cpu=cpu,
            others=None if math.isnan(busy) else min(max(0.0, (busy - cpu) / wall), MOST_TAKEN * cores),
            thumbnails={card.path: card.thumbnail for card in cards},
            descriptions={card.path: card.description for card in cards},
            errors=dict(answers.errors),
        )

    def services(self) -> dict[Any, Service]:
        """What each event costs in simulated time. Bodies that decode pictures are skipped, and replied from here."""
        return {
            Prepare: Service(cpu=Constant(self.loop)),
            Resize: Service(cpu=_empirical(self.resize), body="skip", result=self._thumbnail),
            Describe: Service(cpu=_empirical(self.describe), gil=self.gil, body="skip", result=self._description),
        }

    def _thumbnail(self, event: Resize) -> Thumbnail:
        if event.path not in self.thumbnails:
            raise PhotoFailed(self.errors[event.path])
        return self.thumbnails[event.path]

    def _description(self, event: Describe) -> Description:
        return self.descriptions[event.path]


def _empirical(samples: tuple[float, ...]) -> Distribution:
    return Empirical(samples) if samples else Constant(0.0)
