"""Whole programs: worker classes of __main__, signals, and no orphan whatever ends the program."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.runtime.programs import alive, line, program, run_program, stop_program, wait_until

PARTS = """
@event
class Ask(Request[str]):
    text: str

@event
class Work(Notification):
    number: int

class Answers(Worker):
    @handles
    def ask(self, event: Ask) -> str:
        return f"{event.text} from {os.getpid()}"

class Crew(Manager):
    pool = Pool(Answers, mode="process", size=2)
    concurrency = 1

    @handles
    async def work(self, event: Work) -> None:
        await asyncio.sleep(0.02)
        print("worked", event.number, flush=True)
"""


def test_worker_classes_of_main_need_no_main_guard(tmp_path: Path) -> None:
    source = """
async def main():
    async with Node("solo", Crew) as node:
        text, pid = (await node.request(Ask("hello"), timeout=20)).split(" from ")
        print(text, int(pid) != os.getpid())

print("top level")
asyncio.run(main())
"""
    code, out, err = run_program(PARTS + source, tmp_path)
    assert (code, err) == (0, "")
    assert out.splitlines() == ["top level", "hello True"]


def test_a_notebooks_cells_work_in_processes_also_when_they_are_run_again(tmp_path: Path) -> None:
    """As a kernel does: each cell is compiled alone, and runs in the namespace of __main__."""
    source = '''
CELLS = ["""
@event
class Ask(Request[str]):
    text: str
""", """
factor = 2
class Answers(Worker):
    @handles
    def ask(self, event: Ask) -> str:
        return event.text * factor
""", """
class Crew(Manager):
    pool = Pool(Answers, mode="process")
""", """
async def main():
    async with Node("cell", Crew) as node:
        print(await node.request(Ask("ab"), timeout=20))
asyncio.run(main())
"""]
for number in (0, 1, 2, 3, 1, 2, 3, 0, 1, 2, 3):
    exec(compile(CELLS[number], f"<cell {number}>", "exec"), globals())
'''
    code, out, err = run_program(source, tmp_path)
    assert (code, err) == (0, "")
    assert out.splitlines() == ["abab"] * 3


SERVED = """
async def main():
    node = Node("solo", Crew)
    async def feed():
        while not node._accepting:
            await asyncio.sleep(0.01)
        for number in range(5):
            await node.notify(Work(number))
        answers = await asyncio.gather(*[node.request(Ask("x"), timeout=20) for _ in range(10)])
        print(*{answer.rpartition(" ")[2] for answer in answers}, flush=True)
    feeder = asyncio.create_task(feed())
    await serve(node)

asyncio.run(main())
"""
BLOCK = """
async def main():
    async with Node("solo", Crew) as node:
        for number in range(5):
            await node.notify(Work(number))
        answers = await asyncio.gather(*[node.request(Ask("x"), timeout=20) for _ in range(10)])
        print(*{answer.rpartition(" ")[2] for answer in answers}, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("form", [SERVED, BLOCK], ids=["serve", "async with"])
@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGTERM, 143, ""), (signal.SIGINT, -signal.SIGINT, "KeyboardInterrupt")],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_signal_drains_the_node(tmp_path: Path, form: str, number: signal.Signals, code: int, words: str) -> None:
    with program(PARTS + form, tmp_path) as process:
        lines = [line(process)]
        while lines[-1].startswith("worked"):
            lines.append(line(process))
        children = [int(pid) for pid in lines[-1].split()]
        assert children, "the program says where its workers are"
        returned, out, err = stop_program(process, number)
        assert returned == code
        assert err.strip().rpartition("\n")[2] == words
        # What was queued when the signal came has been worked off.
        assert [text for text in (*lines, *out.splitlines()) if text.startswith("worked")] == [
            f"worked {n}" for n in range(5)
        ]
        assert not [pid for pid in children if alive(pid)]


def test_a_second_signal_does_not_wait_for_the_drain(tmp_path: Path) -> None:
    source = """
class Slow(Manager):
    @handles
    async def work(self, event: Work) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            print("cancelled", flush=True)

async def main():
    async with Node("solo", Slow, drain_timeout=60) as node:
        await node.notify(Work(1))
        await asyncio.sleep(0.01)
        print("ready", flush=True)
        try:
            await asyncio.sleep(60)
        finally:
            print("draining", flush=True)

asyncio.run(main())
"""
    with program(PARTS + source, tmp_path) as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert line(process) == "draining"
        code, out, err = stop_program(process, signal.SIGTERM)
        assert (code, out, err) == (143, "cancelled\n", "")


HOLDING = """
class Busy(Worker):
    @handles
    def ask(self, event: Ask) -> str:
        print(os.getpid(), flush=True)
        while event.text == "spin":
            pass
        time.sleep(60)
        return ""

class Holder(Manager):
    pool = Pool(Busy, mode="process", size=2)

async def main():
    async with Node("solo", Holder) as node:
        await asyncio.gather(node.request(Ask("spin"), timeout=60), node.request(Ask("sleep"), timeout=60))

asyncio.run(main())
"""


def test_children_end_when_their_parent_is_killed_however_busy_they_are(tmp_path: Path) -> None:
    with program(PARTS + HOLDING, tmp_path) as process:
        children = [int(line(process)), int(line(process))]
        assert all(alive(pid) for pid in children)
        process.kill()
        process.wait()
        assert wait_until(lambda: not any(alive(pid) for pid in children))


def test_ctrl_c_reaches_the_whole_group_and_the_workers_finish_what_they_have(tmp_path: Path) -> None:
    """A terminal sends SIGINT to parent and children; the children leave it to the parent."""
    source = """
class Busy(Worker):
    @handles
    def ask(self, event: Ask) -> str:
        print(os.getpid(), flush=True)
        time.sleep(0.5)
        print("answered", flush=True)
        return "done"

class Holder(Manager):
    pool = Pool(Busy, mode="process")

async def main():
    async with Node("solo", Holder) as node:
        asked = asyncio.create_task(node.request(Ask("x"), timeout=60))
        await asyncio.sleep(60)

asyncio.run(main())
"""
    with program(PARTS + source, tmp_path) as process:
        child = int(line(process))
        os.kill(child, signal.SIGINT)
        code, out, err = stop_program(process, signal.SIGINT)
        assert (code, out) == (-signal.SIGINT, "answered\n")
        assert err.strip().endswith("KeyboardInterrupt")
        assert not alive(child)


def test_a_program_that_has_a_handler_for_sigterm_keeps_it(tmp_path: Path) -> None:
    source = """
import signal
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"mine\\n"))

async def main():
    async with Node("solo", Crew) as node:
        print("ready", flush=True)
        await asyncio.sleep(0.3)
        print("still here", flush=True)

asyncio.run(main())
assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
"""
    with program(PARTS + source, tmp_path) as process:
        assert line(process) == "ready"
        assert stop_program(process, signal.SIGTERM) == (0, "mine\nstill here\n", "")


def test_after_the_node_sigterm_is_the_default_again(tmp_path: Path) -> None:
    source = """
import signal
async def main():
    async with Node("solo", Crew) as node:
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
asyncio.run(main())
"""
    assert run_program(PARTS + source, tmp_path) == (0, "", "")


def test_what_a_worker_logs_and_prints_goes_to_the_programs_streams(tmp_path: Path) -> None:
    source = """
class Loud(Worker):
    @handles
    def ask(self, event: Ask) -> str:
        print("printed")
        self.log.warning("logged")
        return "x"

class Crew2(Manager):
    pool = Pool(Loud, mode="process")

async def main():
    async with Node("solo", Crew2) as node:
        await node.request(Ask("x"), timeout=20)

asyncio.run(main())
"""
    assert run_program(PARTS + source, tmp_path) == (0, "printed\n", "WARNING edri_sim.worker: logged\n")


def test_a_worker_that_takes_its_time_to_end_is_not_killed_before_it_has(tmp_path: Path) -> None:
    source = """
class Slow(Worker):
    async def clean(self):
        try:
            await asyncio.sleep(60)
        finally:
            time.sleep(0.3)
            print("cleaned")

    @handles
    async def ask(self, event: Ask) -> str:
        self.task = asyncio.get_running_loop().create_task(self.clean())
        await asyncio.sleep(0)
        return "x"

class Crew2(Manager):
    pool = Pool(Slow, mode="process")

async def main():
    async with Node("solo", Crew2) as node:
        await node.request(Ask("x"), timeout=20)

asyncio.run(main())
"""
    assert run_program(PARTS + source, tmp_path) == (0, "cleaned\n", "")
