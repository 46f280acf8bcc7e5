"""The replay of a run: a widget in a notebook, and files that need no kernel."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from edri_sim.run import Run
from edri_sim.topology import Topology
from edri_sim.viz import theme
from edri_sim.viz.replay import page, reel, still
from edri_sim.viz.replay.film import Film
from edri_sim.viz.replay.log import packed

EMBEDDED = 2_000_000
"""Bytes of a packed log up to which a notebook keeps a player that needs no kernel; above, a picture alone."""


class Replay(anywidget.AnyWidget):
    """A run, played in the browser: play, pause, speed, scrub, step, filter by type, and the story of what is clicked.

    The log goes to the browser once, and nothing is asked for later. ``topology`` adds the machines and links that the
    trace does not speak of. A notebook that is not trusted shows a picture that moves by itself; nbconvert keeps a
    player, up to :data:`EMBEDDED` bytes.
    """

    _esm = Path(__file__).with_name("replay.js")
    _css = Path(__file__).with_name("replay.css")
    log = traitlets.Bytes().tag(sync=True)

    def __init__(self, run: Run, topology: Topology | None = None) -> None:
        self.film = Film(run, topology)
        super().__init__(log=packed(self.film))

    def __repr__(self) -> str:
        scene = self.film.scene
        places = "machines" if scene.machines else "components"
        return f"<Replay of {self.film.run!r}: {len(scene.vertices)} {places}, {len(self.film.flights):,} on their way>"

    def save_html(self, path: Path | str) -> None:
        """Write one HTML file that plays the run, without a kernel and without a network."""
        Path(path).write_text(page.whole(self.log, self._title()), encoding="utf-8")

    def save_gif(self, path: Path | str, *, seconds: float = 12.0, fps: int = 12, width: int = 800) -> None:
        """Write an animated GIF that takes ``seconds``, in ``fps`` frames a second, ``width`` pixels wide.

        Raises:
            SettingsError: ``seconds``, ``fps`` or ``width`` is out of range.
        """
        reel.write_gif(self.film, Path(path), reel.Cut(seconds, fps, width))

    def save_mp4(self, path: Path | str, *, seconds: float = 20.0, fps: int = 30, width: int = 1280) -> None:
        """Write an MP4 film with ffmpeg; the figures are those of :meth:`save_gif`.

        Raises:
            ReplayError: ffmpeg is not installed, or could not write the film.
            SettingsError: ``seconds``, ``fps`` or ``width`` is out of range.
        """
        reel.write_mp4(self.film, Path(path), reel.Cut(seconds, fps, width))

    def _title(self) -> str:
        run = self.film.run
        kind = f"simulated, seed {run.seed}" if run.simulated else "real time"
        return f"{kind}: {run.duration:.6g} s, {len(run.spans):,} events"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        shown = super()._repr_mimebundle_(**options)
        if shown is None:
            return None
        data, metadata = shown
        return {**data, "text/plain": repr(self), "text/html": self._fallback()}, metadata

    def _fallback(self) -> str:
        """A picture that stays where scripts are not run; where they are, the player takes its place."""
        picture = theme.image(still.svg(self.film), f"a replay of {self.film.run!r}")
        if len(self.log) > EMBEDDED:
            size = html.escape(f"{len(self.log) / 1e6:.1f} MB")
            return f"{picture}<p>The log is {size}: run the cell, or see replay.save_html(path), to play it.</p>"
        return page.part(self.log, picture)
