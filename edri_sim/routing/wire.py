"""A tunnel whose two sides are in different programs: what comes over the wire, and whom it is told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edri_sim.routing.tunnel import Entrance, Far


class Wire(Protocol):
    """What hands in the messages of one tunnel, in their order."""

    def payload(self, data: bytes) -> None:
        """An item. Raises TunnelLost for what comes without credit."""

    def credit(self, count: int) -> None:
        """Credit; the first that comes to the opener says that a handler has begun."""

    def ended(self, how: int) -> None:
        """The other side sends no more."""


class OpenerWire:
    """On the opener's side: ``far`` sends to the server, whose first credit opens the tunnel."""

    def __init__(self, far: Far, entrance: Entrance) -> None:
        self._far = far
        self._entrance = entrance
        self._near: Far | None = None

    @property
    def accepted(self) -> bool:
        """Whether a handler has begun."""
        return self._near is not None

    def payload(self, data: bytes) -> None:
        """See :class:`Wire`."""
        if self._near is not None:
            self._near.payload(data)

    def credit(self, count: int) -> None:
        """See :class:`Wire`."""
        if self._near is None:
            self._near = self._entrance.accept(self._far, count)
        else:
            self._near.credit(count)

    def ended(self, how: int) -> None:
        """See :class:`Wire`."""
        if self._near is not None:
            self._near.ended(how)


class ServerWire:
    """On the server's side, the opener's entrance: ``far`` sends to the opener; ``opened`` is called on accepting."""

    def __init__(self, far: Far, window: int, opened: Callable[[], None]) -> None:
        self.window = window
        self._far = far
        self._opened = opened
        self._near: Far | None = None

    @property
    def largest(self) -> float:
        """See :class:`~edri_sim.routing.tunnel.Entrance`."""
        return self._far.largest

    def accept(self, near: Far, window: int) -> Far:
        """See :class:`~edri_sim.routing.tunnel.Entrance`."""
        self._near = near
        self._opened()
        self._far.credit(window)
        return self._far

    def payload(self, data: bytes) -> None:
        """See :class:`Wire`."""
        if self._near is not None:
            self._near.payload(data)

    def credit(self, count: int) -> None:
        """See :class:`Wire`."""
        if self._near is not None:
            self._near.credit(count)

    def ended(self, how: int) -> None:
        """See :class:`Wire`."""
        if self._near is not None:
            self._near.ended(how)
