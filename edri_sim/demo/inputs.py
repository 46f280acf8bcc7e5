"""Finding the photos, and how often each is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edri_sim.demo import pictures
from edri_sim.errors import SettingsError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

_HERE = Path(__file__).resolve()
_HOMES = (_HERE.parent / "samples", _HERE.parents[2] / "examples" / "photos")
"""Where our own photos are: in an installed wheel, and in a clone."""

CREDIT = "china.jpg and flower.jpg are by danielbuechele, CC BY 2.0; SOURCES.md beside the photos names all sources."
"""What the licences of our own photos ask for."""

_REQUESTS = 260
_BYTES = 100_000_000


def own_photos() -> Path:
    """The folder of photos that come with this package. Raises SettingsError if they are not there."""
    for home in _HOMES:
        if home.is_dir():
            return home
    raise SettingsError("the demo's own photos are not installed: name a folder of photos with --images DIR")


def credit(photos: Sequence[str]) -> str:
    """Whom to name for these photos; empty if they are not our own."""
    return CREDIT if any(Path(path).resolve().parent in _HOMES for path in photos) else ""


def find_photos(folder: Path) -> list[str]:
    """The paths of the pictures in ``folder``, sorted; files of other kinds are passed over.

    Raises:
        SettingsError: there is no such folder, no picture in it, or not one of them that Pillow can read.
    """
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise SettingsError(f"--images {folder}: {problem}; expected a folder of photos")
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise SettingsError(f"--images {folder}: cannot be read: {error.strerror}") from error
    if not found:
        kinds = ", ".join(suffix.lstrip(".") for suffix in SUFFIXES)
        raise SettingsError(f"--images {folder}: no photos in it; expected at least one of {kinds}")
    _check_any(folder, found)
    return [str(path) for path in found]


def _check_any(folder: Path, found: Sequence[Path]) -> None:
    """One broken photo among good ones is for the service to report; a folder of nothing else is bad input."""
    first = ""
    for path in found:
        try:
            pictures.check_readable(path)
        except pictures.UnreadablePhoto as error:
            first = first or str(error)
        else:
            return
    raise SettingsError(f"--images {folder}: none of its {len(found)} files can be read as a photo; {first}")


def default_rounds(photos: Sequence[str]) -> int:
    """How often to ask for each photo: about 260 requests or 100 MB of files in all, whichever is less."""
    size = sum(Path(path).stat().st_size for path in photos)
    return max(1, min(_REQUESTS // len(photos), _BYTES // max(1, size)))


def check_out(path: Path) -> None:
    """Raise SettingsError if the report could not be written to ``path``: better now than after the run."""
    if path.is_dir():
        raise SettingsError(f"--out {path}: is a folder; expected the name of a file to write")
    if not path.parent.is_dir():
        raise SettingsError(f"--out {path}: the folder {path.parent} does not exist")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise SettingsError(f"--out {path}: no permission to write there")
