"""The leak guard fails a test for each kind of thing that may be left, and names it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LEAKING = """
import asyncio
import os
import socket
import subprocess
import threading

kept = []

def test_thread():
    kept.append(threading.Thread(target=threading.Event().wait, name="lost-thread", daemon=True))
    kept[-1].start()

def test_child():
    kept.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE))

def test_dead_child():
    kept.append(subprocess.Popen(["true"]))

def test_task():
    kept.append(asyncio.new_event_loop())
    kept.append(kept[-1].create_task(asyncio.sleep(60), name="lost-task"))

def test_file():
    kept.append(open(os.devnull))

def test_socket():
    kept.append(socket.socket())
"""

CLEAN = """
import asyncio
import threading
import time

def test_a_thread_that_ends_soon():
    threading.Thread(target=time.sleep, args=(0.3,)).start()

async def test_tasks():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
        await asyncio.to_thread(time.sleep, 0)
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
"""

IMPATIENT = "from tests import leak_guard\nleak_guard.GRACE = 0.1"


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.RunResult:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester.runpytest_subprocess(
        "-p", "tests.leak_guard", "-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto"
    )


def test_each_kind_of_leak_fails_its_test(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(LEAKING)
    pytester.makeconftest(IMPATIENT)
    result = run(pytester, monkeypatch)
    result.assert_outcomes(passed=6, errors=6)
    result.stdout.fnmatch_lines(
        [
            "*thread 'lost-thread' (*)",
            "*child process * (cat)",
            "*open file pipe:*",
            "*child process * (true)",
            "*task 'lost-task' of <coroutine object sleep at *>",
            "*open file /dev/null",
            "*open file socket:*",
        ]
    )


def test_what_ends_by_itself_is_no_leak(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(CLEAN)
    run(pytester, monkeypatch).assert_outcomes(passed=2)
