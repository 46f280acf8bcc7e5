"""What is done to the pictures themselves, with Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps, ImageStat

from edri_sim.errors import EdriError

_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a file that is broken, or no picture, or too large to be one."""

COLOURS = 5
_GRID = (9, 8)


class UnreadablePhoto(EdriError):
    """Pillow cannot read a file; the message names the file and says why."""


@dataclass(frozen=True, slots=True)
class Small:
    """A thumbnail: a JPEG, and its size in pixels."""

    jpeg: bytes
    width: int
    height: int


def shrink(path: Path, width: int) -> Small:
    """A JPEG of at most ``width`` by ``width`` pixels, upright. Raises UnreadablePhoto."""
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((width, width), Image.Resampling.LANCZOS, reducing_gap=3.0)
            small = upright.convert("RGB")
    except _UNREADABLE as error:
        raise UnreadablePhoto(f"{path.name}: {reason(error)}") from None
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=82, optimize=True)
    return Small(buffer.getvalue(), *small.size)


def reason(error: BaseException) -> str:
    """Pillow's words for what is wrong, without the address that it may put in them."""
    text = str(error) or type(error).__name__
    return "no picture that Pillow knows" if text.startswith("cannot identify image file") else text


def check_readable(path: Path) -> None:
    """Read a picture's header. Raises UnreadablePhoto."""
    try:
        with Image.open(path):
            pass
    except _UNREADABLE as error:
        raise UnreadablePhoto(f"{path.name}: {reason(error)}") from None


@dataclass(frozen=True, slots=True)
class Raster:
    """What Pillow finds in a thumbnail: its commonest colours, the strength of its edges, and a coarse grid of grey."""

    colours: bytes
    edges: float
    grid: bytes


def survey(jpeg: bytes) -> Raster:
    """Colours, edges and grid of a thumbnail; Pillow lets go of the GIL for most of it."""
    with Image.open(BytesIO(jpeg)) as picture:
        picture.load()
        few = picture.quantize(COLOURS, Image.Quantize.FASTOCTREE)
        edges = ImageStat.Stat(picture.convert("L").filter(ImageFilter.FIND_EDGES)).mean[0]
        grid = picture.convert("L").resize(_GRID, Image.Resampling.BOX).tobytes()
    return Raster(bytes(few.getpalette() or b"")[: 3 * COLOURS], edges, grid)


def palette(raster: Raster) -> list[str]:
    """The commonest colours, as #rrggbb."""
    values = raster.colours
    return [f"#{values[at : at + 3].hex()}" for at in range(0, len(values) - 2, 3)]


def fingerprint(raster: Raster) -> str:
    """The difference hash of a picture, 16 hexadecimal digits: close pictures differ in few bits.

    Each bit says whether a cell of the grid is brighter than its right neighbour (N. Krawetz, "Kind of Like That").
    """
    wide, high = _GRID
    cells = raster.grid
    bits = 0
    for row in range(high):
        for column in range(wide - 1):
            at = row * wide + column
            bits = bits << 1 | (cells[at] > cells[at + 1])
    return f"{bits:016x}"
