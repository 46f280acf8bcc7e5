"""A run as a film of frames: an animated GIF, or an MP4 by way of ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from edri_sim.errors import ReplayError, SettingsError
from edri_sim.viz.replay.film import AGAIN, DUPLICATE, LOST, REPLY, Film
from edri_sim.viz.replay.motion import Geometry, Motion
from edri_sim.viz.replay.scene import Link
from edri_sim.viz.theme import DOWN, FAINT, GRID, INK, LOOKS, PAPER, SERIES, UP

_FINE = 2
"""Frames are drawn so many times as large and made smaller: lines have soft edges then."""
_MOST = 4_000
"""Pixels: wider films no player shows."""


class Cut(NamedTuple):
    """How a run becomes a film: it takes ``seconds``, in ``fps`` frames a second, ``width`` pixels wide."""

    seconds: float
    fps: int
    width: int

    def check(self) -> None:
        """Raises SettingsError for a figure that is out of range."""
        for name, value, most in (("seconds", self.seconds, 600), ("fps", self.fps, 60), ("width", self.width, _MOST)):
            least = 200 if name == "width" else 1
            if not least <= value <= most:
                raise SettingsError(f"a film's {name}={value!r}: expected {least} to {most}")

    @property
    def frames(self) -> int:
        """How many there are."""
        return max(2, round(self.seconds * self.fps))


def write_gif(film: Film, path: Path, cut: Cut) -> None:
    """Write all frames as a GIF that begins again at its end."""
    cut.check()
    pictures = frames(film, cut)
    first = next(pictures)
    palette = _palette(first)
    shown = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in chain([first], pictures))
    next(shown).save(path, format="GIF", save_all=True, append_images=shown, duration=round(1000 / cut.fps), loop=0)


def _palette(first: Image.Image) -> Image.Image:
    """The colours of the first frame, and those of what comes later: one palette, or each frame would flicker."""
    colours = (PAPER, PAPER, *SERIES, DOWN, FAINT, GRID, UP)
    sample = Image.new("RGB", (first.width, first.height + 40 * len(colours)), PAPER)
    sample.paste(first, (0, 0))
    for place, colour in enumerate(colours):
        sample.paste(colour, (0, first.height + 40 * place, first.width, first.height + 40 * (place + 1)))
    return sample.quantize(128, method=Image.Quantize.MAXCOVERAGE)


def write_mp4(film: Film, path: Path, cut: Cut) -> None:
    """Write all frames with ffmpeg. Raises ReplayError where there is none, or it fails."""
    cut.check()
    program = shutil.which("ffmpeg")
    if program is None:
        raise ReplayError(
            f"save_mp4({str(path)!r}) needs ffmpeg, which is not installed: save_gif and save_html do not"
        )
    pictures = frames(film, cut._replace(width=cut.width // 2 * 2))
    first = next(pictures)
    size = f"{first.width}x{first.height}"
    command = [
        program, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(cut.fps),
        "-i", "-", "-an", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", str(path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdin is not None
        assert ffmpeg.stderr is not None
        try:
            for picture in chain([first], pictures):
                ffmpeg.stdin.write(picture.tobytes())
            ffmpeg.stdin.close()
        except BrokenPipeError:
            pass  # It ended early, and says why below.
        said = ffmpeg.stderr.read().decode(errors="replace").strip()
    if ffmpeg.returncode:
        raise ReplayError(f"ffmpeg could not write {str(path)!r}: {said or f'it ended with {ffmpeg.returncode}'}")


def frames(film: Film, cut: Cut) -> Iterator[Image.Image]:
    """All pictures of a film, in RGB."""
    painter = _Painter(film, cut)
    for number in range(cut.frames):
        yield painter.frame(film.run.duration * number / (cut.frames - 1))


class _Painter:
    """Draws the frames of one film."""

    def __init__(self, film: Film, cut: Cut) -> None:
        self._film = film
        self._size = Geometry(film.scene, cut.width)
        self._where = Geometry(film.scene, cut.width * _FINE)
        self._motion = Motion(film, film.run.duration / cut.seconds)
        self._colours = {number: SERIES[min(place, len(SERIES) - 1)] for place, number in enumerate(film.types)}
        self._base = Image.new("RGBA", (self._where.width, self._where.height), (255, 255, 255, 0))
        self._boxes(ImageDraw.Draw(self._base))

    def frame(self, time: float) -> Image.Image:
        """The picture at a time, in seconds of the run."""
        picture = Image.new("RGB", self._base.size, PAPER)
        pen = ImageDraw.Draw(picture)
        for number, link in enumerate(self._film.scene.links):
            self._link(pen, number, link, time)
        picture.paste(self._base, (0, 0), self._base)
        self._troubles(pen, time)
        for flight, share in self._motion.at(time):
            colour = self._colours[self._film.type_of[flight.event]]
            self._mark(pen, self._where.point(flight, share), flight.way, colour)
        self._clock(pen, time)
        return picture.resize((self._size.width, self._size.height), Image.Resampling.BOX)

    def _boxes(self, pen: ImageDraw.ImageDraw) -> None:
        width, height = self._where.box
        font = _font(max(7.0 * _FINE, min(13.0 * _FINE, height * 0.4)))
        for (x, y), vertex in zip(self._where.at, self._film.scene.vertices, strict=True):
            fill, edge = LOOKS[vertex.kind]
            around = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            pen.rounded_rectangle(around, 0 if vertex.kind == "switch" else height / 4, fill, edge, _FINE)
            pen.text((x, y), _fitted(font, vertex.label, width - 4), INK, font, anchor="mm")

    def _link(self, pen: ImageDraw.ImageDraw, number: int, link: Link, time: float) -> None:
        (ax, ay), (bx, by) = self._where.at[link.a], self._where.at[link.b]
        broken = self._film.scene.broken(number, time)
        if self._film.scene.unknown(number, time) and not broken:
            pen.line((ax, ay, bx, by), GRID, 2 * _FINE)
        elif not broken:
            pen.line((ax, ay, bx, by), UP, 2 * _FINE)
        else:
            for dash in range(0, 40, 2):
                parts = [(ax + (bx - ax) * at / 40, ay + (by - ay) * at / 40) for at in (dash, dash + 1)]
                pen.line(parts, DOWN, 2 * _FINE)

    def _troubles(self, pen: ImageDraw.ImageDraw, time: float) -> None:
        shown = [trouble.name for trouble in self._film.scene.troubles if trouble.period[0] <= time < trouble.period[1]]
        if shown:
            pen.text((8 * _FINE, 8 * _FINE), "\n".join(shown), DOWN, _font(13 * _FINE))

    def _mark(self, pen: ImageDraw.ImageDraw, at: tuple[float, float], way: int, colour: str) -> None:
        (x, y), size = at, (5 if self._where.box[1] > 20 * _FINE else 3) * _FINE
        around = (x - size, y - size, x + size, y + size)
        if way in (LOST, DUPLICATE):
            pen.line((x - size, y - size, x + size, y + size), colour, 2 * _FINE)
            pen.line((x + size, y - size, x - size, y + size), colour, 2 * _FINE)
        elif way == AGAIN:
            pen.polygon([(x, y - size), (x + size, y + size), (x - size, y + size)], colour)
        elif way == REPLY:
            pen.ellipse(around, PAPER, colour, 2 * _FINE)
        else:
            pen.ellipse(around, colour)

    def _clock(self, pen: ImageDraw.ImageDraw, time: float) -> None:
        width, y = self._where.width, self._where.height - 3 * _FINE
        whole = self._film.run.duration or 1.0
        pen.line((0, y, width, y), GRID, 4 * _FINE)
        pen.line((0, y, width * time / whole, y), FAINT, 4 * _FINE)
        pen.text((width - 6 * _FINE, y - 6 * _FINE), f"{time:.3f} s", FAINT, _font(11 * _FINE), anchor="rs")


def _font(size: float) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, so that a film looks the same everywhere."""
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def _fitted(font: ImageFont.FreeTypeFont, words: str, width: float) -> str:
    """A name, shortened in its middle until it fits: the ends of names tell them apart."""
    if font.getlength(words) <= width:
        return words
    for keep in range(len(words) - 1, 2, -1):
        short = f"{words[: keep // 4]}\N{HORIZONTAL ELLIPSIS}{words[keep // 4 - keep :]}"
        if font.getlength(short) <= width:
            return short
    return words[-2:]
