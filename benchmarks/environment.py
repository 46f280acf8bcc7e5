"""The environment that both sides run in: one interpreter, the peers at pinned versions, and this package."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import LOOP, PEERS, Peer

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "benchmarks" / ".env"
NAMES = ("python3.13", "python3.12", "python3.14")
"""By preference."""
OLDEST = (3, 12)
"""What edri needs; the first that is found and at least this is taken."""
INSTALL_SECONDS = 600.0
PROBE_SECONDS = 10.0

_ERROR = re.compile(r"(Error|ERROR): ")
_VERSION = "import sys; print(*sys.version_info[:2])"
_VERSIONS = """
import importlib.metadata, json, platform, sys
versions = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(versions))
"""


class Unusable(Exception):
    """The environment could not be made; the message says why."""


@dataclass(frozen=True)
class Environment:
    """An interpreter with what is installed there: distribution names to versions, and "python" to its version."""

    python: Path
    versions: dict[str, str]

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version of the interpreter."""
        major, minor = self.versions["python"].split(".")[:2]
        return int(major), int(minor)

    def missing(self, peer: Peer) -> str | None:
        """Why a peer cannot be measured here, or None if it can."""
        if self.release < peer.python:
            return f"needs Python {peer.python[0]}.{peer.python[1]} or newer, by name on PATH or under ~/.pyenv"
        for requirement, distribution in zip(peer.requirements, peer.distributions, strict=True):
            if distribution not in self.versions:
                return f"{requirement} could not be installed"
        return None


def prepare() -> Environment:
    """Find the interpreter, make the environment or reuse it, and look up what is in it.

    Raises Unusable when not even this package can be installed.
    """
    interpreter = find_interpreter()
    python = HOME / "bin" / "python"
    stamp, wanted = HOME / "stamp", _fingerprint(interpreter)
    if not (stamp.exists() and stamp.read_text() == wanted):
        _make(interpreter, python)
        stamp.write_text(wanted)
    names = dict.fromkeys(name for peer in PEERS.values() for name in peer.distributions)
    found = subprocess.run(
        [python, "-c", _VERSIONS, "edri-sim", "uvloop", *names], capture_output=True, text=True, check=True
    )
    return Environment(python, json.loads(found.stdout))


def find_interpreter() -> Path:
    """The first interpreter by name that runs and is new enough, else the running one.

    To be found is not enough: pyenv puts a shim on PATH for versions that are installed but not selected.
    """
    for candidate in _candidates():
        if _release(candidate) >= OLDEST:
            return candidate
    return Path(sys.executable)


def _candidates() -> Iterator[Path]:
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for name in NAMES:
        if on_path := shutil.which(name):
            yield Path(on_path)
        yield from sorted(pyenv.glob(f"versions/*/bin/{name}"), reverse=True)


def _release(interpreter: Path) -> tuple[int, ...]:
    try:
        ran = subprocess.run(
            [interpreter, "-c", _VERSION], capture_output=True, text=True, timeout=PROBE_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    return tuple(int(part) for part in ran.stdout.split())


def _fingerprint(interpreter: Path) -> str:
    """Changes whenever the environment must be made anew."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    for text in (str(interpreter), LOOP, *(text for peer in PEERS.values() for text in peer.requirements)):
        digest.update(text.encode())
    return digest.hexdigest()


def _make(interpreter: Path, python: Path) -> None:
    print(f"making {HOME.relative_to(ROOT)} with {interpreter} (once; a minute or two)", file=sys.stderr, flush=True)
    shutil.rmtree(HOME, ignore_errors=True)
    made = subprocess.run([interpreter, "-m", "venv", HOME], capture_output=True, text=True, check=False)
    if made.returncode:
        raise Unusable(f"{interpreter} -m venv failed: {_reason(made.stdout + made.stderr)}")
    if reason := _install(python, ["--editable", str(ROOT), LOOP]):
        raise Unusable(f"this package could not be installed: {reason}")
    for peer in PEERS.values():
        if peer.requirements and _release(python) >= peer.python:
            # Each peer alone, so that one without a wheel for this Python costs its own rows only.
            _install(python, peer.requirements)


def _install(python: Path, what: Iterable[str]) -> str | None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"pip took more than {INSTALL_SECONDS:.0f} s"
    return _reason(ran.stderr) if ran.returncode else None


def _reason(text: str) -> str:
    """The line of a program's output that says what went wrong: the last error, for hints may follow it."""
    lines = text.strip().splitlines() or ["no message"]
    return next((line.strip() for line in reversed(lines) if _ERROR.search(line)), lines[-1].strip())
