"""The same pictures for a dark page: every colour that belongs to a light one is exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba

from edri_sim.viz.theme import FAINT, GRID, INK, PAPER, UP, figure_of

_EXCHANGED = {
    "#000000": "#e6edf3", INK: "#e6edf3", FAINT: "#9aa5b1", GRID: "#3d444d", PAPER: "#0d1117", UP: "#2ea583",
    "#dbeaf5": "#12304a", "#fff1c2": "#3a3005", "#9a6b00": "#e6c200", "#d8f0e8": "#0c3a2c", "#eceff1": "#21262d",
    "#fbe3d6": "#4a2010", "#f6e3ee": "#42203a", "#0072b2": "#56b4e9", "#7f7f7f": "#a5adb5", "#d55e00": "#ff8a4c",
}  # fmt: skip
"""Colours of :mod:`edri_sim.viz.theme`, and what each is on a dark page: one can read both."""

_PARTS = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


def darken(ax: Axes) -> Axes:
    """Exchange the colours of axes, and of the figure that they are in."""
    figure = figure_of(ax)
    figure.patch.set_facecolor(_EXCHANGED[PAPER])
    ax.patch.set_facecolor(_EXCHANGED[PAPER])
    ax.tick_params(colors=_EXCHANGED[FAINT], labelcolor=_EXCHANGED[INK], grid_color=_EXCHANGED[GRID])
    for artist in _artists(ax):
        for part in _PARTS:
            _exchange(artist, part)
    return ax


def _artists(ax: Axes) -> Iterator[Artist]:
    """All that is drawn, the plates behind words among it."""
    for artist in ax.findobj():
        yield artist
        plate = getattr(artist, "get_bbox_patch", lambda: None)()
        if plate is not None:
            yield plate


def _exchange(artist: Artist, part: str) -> None:
    get, exchange = getattr(artist, f"get_{part}", None), getattr(artist, f"set_{part}", None)
    if get is None or exchange is None:
        return
    colour = get()
    single = colour[0] if getattr(colour, "ndim", 1) == 2 and len(colour) == 1 else colour
    new = _dark(single)
    if new is not None:
        exchange(new)


def _dark(colour: Any) -> tuple[float, float, float, float] | None:
    """What a colour is on a dark page, as opaque as before; or None for what stays, is not seen, or is no colour."""
    try:
        *_, alpha = to_rgba(colour)
    except (ValueError, TypeError):
        return None
    new = _EXCHANGED.get(to_hex(colour).lower())
    return None if new is None or alpha == 0 else (*to_rgba(new)[:3], alpha)
