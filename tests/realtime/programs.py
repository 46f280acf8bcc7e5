"""Running ``edri-sim`` as a user does, in processes of their own, and reading what they print."""

from __future__ import annotations

import itertools
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from edri_sim.cli import main

ROOT = Path(__file__).parents[2]
PAIR = "tests.realtime.pair:topology"
SPLIT = "tests.realtime.pair:split"
SHARES_NONE = "topology 'split': nodes 'left' (at hub) and 'right' (at spare) share no switch, and switches do not"
"""What is said of it."""
PATIENCE = 30.0
"""Seconds until a test gives up on what must come."""

# Below the ports that the system gives to those who connect: a node that comes before its switch could meet itself.
_ports = itertools.count(20_000 + os.getpid() % 1_000 * 10)


def free_address() -> str:
    """An address at which nobody listens, and that no other test gets."""
    for port in _ports:
        with socket.socket() as trial, suppress(OSError):
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    raise AssertionError("there is always another port")


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDRI_")}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", **more}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edri_sim", *map(str, arguments)]


def edri(*arguments: object, cwd: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=60, check=False
    )


class Here:
    """``edri-sim`` in this process: fast, for what ends before anything has run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        for name in [name for name in os.environ if name.startswith("EDRI_")]:
            monkeypatch.delenv(name)
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.chdir(ROOT)

    def _run(self, *arguments: object) -> tuple[object, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["edri-sim", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *self._capsys.readouterr()

    def words(self, *arguments: object) -> str:
        """What it prints; exit code 0."""
        code, out, err = self._run(*arguments)
        assert (code or 0, err) == (0, "")
        return out

    def refusal(self, *arguments: object) -> str:
        """The one line that says what is wrong; exit code 2."""
        code, out, err = self._run(*arguments)
        assert (code, out) == (2, ""), err
        (line,) = err.splitlines()
        return line.removeprefix("edri-sim: ")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uvloop_installed: bool) -> Here:
    return Here(monkeypatch, capsys)


class Program:
    """``edri-sim`` with these arguments, while it runs; killed at the end of the block."""

    def __init__(self, *arguments: object, cwd: Path = ROOT, **more: str) -> None:
        self.lines: list[str] = []
        self._new: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            command(*arguments), cwd=cwd, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self._new.put(line.rstrip("\n"))
        self._new.put(None)

    def until(self, *words: str) -> str:
        """The first line from here on that has all of these words in it."""
        end = time.monotonic() + PATIENCE
        while (left := end - time.monotonic()) > 0:
            with suppress(queue.Empty):
                line = self._new.get(timeout=left)
                if line is None:
                    break
                self.lines.append(line)
                if all(word in line for word in words):
                    return line
        raise AssertionError(f"no line with {words} came; there were:\n" + "\n".join(self.lines))

    def rest(self) -> list[str]:
        """All lines, when it has ended."""
        self._reader.join(PATIENCE)
        while not self._new.empty():
            line = self._new.get()
            if line is not None:
                self.lines.append(line)
        return self.lines

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def code(self) -> int:
        """The exit code, once it has ended by itself."""
        return self.process.wait(PATIENCE)

    def children(self) -> dict[int, str]:
        """Its child processes, and theirs, with their command lines."""
        return descendants(self.process.pid)


def descendants(pid: int) -> dict[int, str]:
    found: dict[int, str] = {}
    with suppress(OSError):  # It may end meanwhile.
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
                found |= descendants(child)
    return found


def gone(pids: Iterable[int]) -> bool:
    """Whether none of these processes is left, waiting as long as it takes."""
    waiting = list(pids)
    end = time.monotonic() + PATIENCE
    while waiting and time.monotonic() < end:
        waiting = [pid for pid in waiting if _alive(pid)]
        time.sleep(0.01)
    return not waiting


def _alive(pid: int) -> bool:
    """Whether a process runs: one whose parent is gone may wait as a zombie for somebody to collect it."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@contextmanager
def running(*programs: Program) -> Iterator[None]:
    """All of them until the end of the block."""
    with ExitStack() as stack:
        for program in programs:
            stack.enter_context(program)
        yield
