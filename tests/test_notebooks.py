"""The notebooks as pages: what is stored in them, where they lead, and that their exercises can be done."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("IPython")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAP = "00-start-here.ipynb"
SECTIONS = {
    "00-start-here.ipynb": ["The one idea", "A first run", "The map", "How to run them"],
    "01-hello-events.ipynb": ["Declare an event", "What cannot travel", "When something goes wrong", "The trace"],
    "02-managers-and-workers.ipynb": ["Three modes", "Measured", "Simulated", "When the queue is full"],
    "03-queues-and-latency.ipynb": ["nobody waits", "Little's law", "A formula", "95 % busy", "More than it can"],
    "04-tunnels.ipynb": ["Declare a tunnel", "end your half", "A slow reader", "break off", "with the line cut"],
    "05-scheduler-and-store.ipynb": ["A year", "the clock jumps", "A lost update", "Compare, and set", "Watch"],
    "06-many-routers.ipynb": ["Three nodes", "Interest", "share the work", "Local first", "Two switches"],
    "07-an-outage.ipynb": ["A cut link", "The switch dies", "exactly once", "The receiver dies", "The sender dies"],
    "08-break-it.ipynb": ["A bad day", "must always be true", "Forty days", "Which fault", "The mend", "As a test"],
    "10-deploy-it.ipynb": ["in simulated time", "Three commands", "each machine", "refused", "a setting comes from"],
}
LAST_SECTION = "## Try it yourself"
LARGE = 450_000
"""Bytes of a notebook file."""
OF_ONE_MACHINE = re.compile(r"(?:^|[\s'\"(=])/\w+/|site-packages|\b0x[0-9a-f]{6,}", re.MULTILINE)
"""An absolute path, or the address of an object."""

Page = dict[str, Any]


def read(path: Path) -> Page:
    page: Page = json.loads(path.read_text(encoding="utf-8"))
    return page


def cells(page: Page, kind: str) -> list[Page]:
    return [cell for cell in page["cells"] if cell["cell_type"] == kind]


def source(cell: Page) -> str:
    return "".join(cell["source"])


def prose(page: Page) -> str:
    return "\n\n".join(source(cell) for cell in cells(page, "markdown"))


def tags(cell: Page) -> list[str]:
    found: list[str] = cell["metadata"].get("tags", [])
    return found


def tagged(page: Page, tag: str) -> Page:
    [cell] = [cell for cell in page["cells"] if tag in tags(cell)]
    return cell


def words(cell: Page) -> str:
    """What the outputs of a cell say in text, without pictures."""
    texts = []
    for output in cell["outputs"]:
        data = output.get("data", {})
        texts += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return re.sub(r"data:image/[^\"]+", "", "".join("".join(text) for text in texts))


# What may be wrong with a page


def not_run_in_order(page: Page) -> bool:
    counts = [cell["execution_count"] for cell in cells(page, "code")]
    return counts != list(range(1, len(counts) + 1))


def noisy(page: Page) -> bool:
    outputs = [output for cell in cells(page, "code") for output in cell["outputs"]]
    return any(output["output_type"] == "error" or output.get("name") == "stderr" for output in outputs)


def tied_to_one_machine(page: Page) -> bool:
    return any(OF_ONE_MACHINE.search(words(cell)) for cell in cells(page, "code"))


def silent_where_it_prints(page: Page) -> bool:
    return any("\nprint(" in f"\n{source(cell)}" and not cell["outputs"] for cell in cells(page, "code"))


def skips(page: Page) -> bool:
    return any("nbval" in f"{tags(cell)}{source(cell)}".lower() for cell in page["cells"])


def without_title(page: Page) -> bool:
    return not source(page["cells"][0]).startswith("# ") or page["cells"][0]["cell_type"] != "markdown"


def with_few_exercises(page: Page) -> bool:
    exercises = re.findall(r"^### Exercise (\d+): ", prose(page).partition(LAST_SECTION)[2], re.MULTILINE)
    return not 2 <= len(exercises) <= 3 or exercises != [str(n + 1) for n in range(len(exercises))]


def with_dead_links(page: Page) -> bool:
    links = re.findall(r"\]\(([^)#]+)\)", prose(page))
    return any("://" not in link and not (ROOT / "notebooks" / link).exists() for link in links)


CHECKS: list[Callable[[Page], bool]] = [
    not_run_in_order,
    noisy,
    tied_to_one_machine,
    silent_where_it_prints,
    skips,
    without_title,
    with_few_exercises,
    with_dead_links,
]


def faults(page: Page) -> list[str]:
    return [check.__name__ for check in CHECKS if check(page)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_complete_and_clean(path: Path) -> None:
    assert faults(read(path)) == []
    assert path.stat().st_size < LARGE


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_its_sections(path: Path) -> None:
    headings = re.findall(r"^## (.*)", prose(read(path)), re.MULTILINE)
    assert [wanted for wanted in SECTIONS[path.name] if not any(wanted in heading for heading in headings)] == []


def first_printing(page: Page) -> Page:
    return next(cell for cell in cells(page, "code") if "print(" in source(cell) and cell["outputs"])


def stream(text: str, name: str = "stdout") -> Page:
    return {"output_type": "stream", "name": name, "text": [text]}


BREAKAGES: dict[str, Callable[[Page], object]] = {
    "not_run_in_order": lambda page: cells(page, "code")[1].update(execution_count=None),
    "noisy": lambda page: cells(page, "code")[0]["outputs"].append(stream("Warning\n", "stderr")),
    "tied_to_one_machine": lambda page: cells(page, "code")[0]["outputs"].append(stream("File '/opt/x.py'")),
    "silent_where_it_prints": lambda page: first_printing(page).update(outputs=[]),
    "skips": lambda page: cells(page, "code")[0]["metadata"].update(tags=["nbval-skip"]),
    "without_title": lambda page: page["cells"].pop(0),
    "with_few_exercises": lambda page: page["cells"].remove(
        next(cell for cell in page["cells"] if "### Exercise 2: " in source(cell))
    ),
    "with_dead_links": lambda page: page["cells"][0].update(source="# Title\n\n[next](99-nothing.ipynb)"),
}


@pytest.mark.parametrize("fault", BREAKAGES)
def test_each_fault_of_a_page_is_seen(fault: str) -> None:
    page = copy.deepcopy(read(ROOT / "notebooks" / MAP))
    BREAKAGES[fault](page)
    assert faults(page) == [fault]


def test_every_fault_has_a_breakage() -> None:
    assert [check.__name__ for check in CHECKS] == list(BREAKAGES)


def test_the_map_lists_every_notebook() -> None:
    listed = re.findall(r"^\| \[\S+\]\((\S+)\)", prose(read(ROOT / "notebooks" / MAP)), re.MULTILINE)
    assert listed == [path.name for path in NOTEBOOKS] == list(SECTIONS)


# The exercises

RUNNER = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for mark, source in json.load(sys.stdin):
    print(mark)
    shell.run_cell(source).raise_error()
"""
MARK = "@@ a check"


def judged(path: Path, answers: list[tuple[str, str]], home: Path) -> list[str]:
    """What a notebook's checks say of answers, each the name of an exercise and code for its cell.

    Cells in real time do not matter to the checks, and are left out.
    """
    page = read(path)
    steps = [("", source(cell)) for cell in cells(page, "code") if not tags(cell)]
    for exercise, code in answers:
        steps += [("", code), (MARK, source(tagged(page, exercise.replace("exercise", "check"))))]
    folders = {"IPYTHONDIR": str(home), "MPLCONFIGDIR": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], cwd=path.parent, env={**os.environ, **folders, "MPLBACKEND": "agg"},
        input=json.dumps(steps), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [part.strip() for part in done.stdout.split(MARK)[1:]]


def solutions(page: Page) -> list[tuple[str, str]]:
    """The code that is folded away after each check, with the name of its exercise."""
    found = re.findall(r"<summary>Solution</summary>.*?```python\n(.*?)```\n\n</details>", prose(page), re.DOTALL)
    return [(f"exercise-{number + 1}", code) for number, code in enumerate(found)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_stored_checks_say_that_nothing_is_done_yet(path: Path) -> None:
    page = read(path)
    checks = [cell for cell in cells(page, "code") if "".join(tags(cell)).startswith("check-")]
    assert len(checks) == len(solutions(page)) >= 2
    assert [words(cell) for cell in checks if not words(cell).startswith("Not done yet: ")] == []


def sorter(*lines: str) -> str:
    """A manager whose handler of Sort has these lines."""
    head = "@handles\n    async def sort(self, event: Sort, tunnel: TunnelEnd[int, int]) -> None:"
    return f"class Sorter(Manager):\n    {head}\n" + "\n".join(f"        {line}" for line in lines)


def double_bakery(*switches: object) -> str:
    """A bakery with two switches, and what the street, the shop and the oven are joined to; None leaves one out."""
    parts = zip(("street", "shop", "oven"), ("Customers", "Counter", "Oven"), switches, strict=True)
    lines = [
        'double = Topology("double")',
        *(f'double.switch("{name}")' for name in ("north", "south")),
        *(f'double.node("{name}", {kind}, switch={at!r})' for name, kind, at in parts if at is not None),
        "return double",
    ]
    return "def two_switches():\n" + "\n".join(f"    {line}" for line in lines)


WRONG: dict[str, list[tuple[str, str, str]]] = {
    "00-start-here.ipynb": [
        ("exercise-1", "seconds = 6", "6 s is one greeter alone"),
        ("exercise-1", "seconds = 3", "you say 3 s"),
        ("exercise-2", "greeters = 2", "Too few: with 2 the queue grows"),
        ("exercise-2", "greeters = 4", "more than you need"),
        ("exercise-2", "greeters = 'many'", "'many' is no number of greeters"),
    ],
    "01-hello-events.ipynb": [
        ("exercise-1", "class Double: ...\nclass Calculator(Manager): ...", "Double is no event yet"),
        (
            "exercise-1",
            "@event\nclass Double(Request[int]):\n    number: int\nclass Calculator(Manager): ...",
            "ended with NoRoute",
        ),
        (
            "exercise-1",
            "@event\nclass Double(Request[int]):\n    number: int\n"
            "class Calculator(Manager):\n    @handles\n    def same(self, event: Double) -> int:\n"
            "        return event.number",
            "answered with 21, not with 42",
        ),
        ("exercise-2", "async def order(node, tea, seconds):\n    return tea", "for coffee it returned 'coffee'"),
        (
            "exercise-3",
            "reasons = {}\nclass Statistics(Manager):\n    @handles\n    def count(self, event: DeadLetter) -> None:\n"
            "        reasons[event.type] = 1",
            "you counted {'Brew': 1, 'WashUp': 1}",
        ),
    ],
    "02-managers-and-workers.ipynb": [
        (
            "exercise-1",
            "choice = {PythonWorker: 'thread'}",
            "for PythonWorker, two in mode thread are 1.0 times as fast as one",
        ),
        ("exercise-1", "choice = {PillowWorker: 'process'}", "a lighter mode helps as much"),
        ("exercise-1", "choice = {NapWorker: 'cluster'}", "'cluster' is no mode"),
        ("exercise-2", "at_most = 8", "if nobody needed the lock"),
        ("exercise-2", "at_most = 4", "For how long does each job hold the lock"),
        ("exercise-3", "policy, length = drop_newest, 20", "s old when it was shown"),
        ("exercise-3", "policy, length = drop_oldest, 20", "s old when it was shown"),
    ],
    "03-queues-and-latency.ipynb": [
        ("exercise-1", "inside = 22.5", "two visitors a minute, not one every two minutes"),
        ("exercise-1", "inside = 45", "you say 45"),
        ("exercise-2", "gates = 3", "3 gates can let in 3 a second"),
        ("exercise-2", "gates = 4", "Too few: with 4 gates the mean wait is"),
        ("exercise-2", "gates = 6", "more than you need"),
        ("exercise-2", "gates = 5.0", "5.0 is no number of gates"),
        ("exercise-3", "answers['one fast gate']['wait'] = 4.0", "the wait of one fast gate is 4 s; the simulation"),
        (
            "exercise-3",
            "answers = {'one fast gate': {'wait': 2, 'stay': 2.5}, 'two slow gates': {'wait': None, 'stay': None}}",
            "the wait of two slow gates is missing",
        ),
    ],
    "04-tunnels.ipynb": [
        ("exercise-1", "seconds = 20", "20 s is the quarry alone"),
        ("exercise-1", "seconds = 220", "not one after the other"),
        ("exercise-1", "seconds = 100", "you say 100 s"),
        ("exercise-2", "async def every_slip(tunnel, stones):\n    return []", "it returned 0 slips"),
        ("exercise-2", "async def every_slip(tunnel, stones):\n    await tunnel.send('all')", "CodecError"),
        ("exercise-3", "class Sorter(Manager): ...", "Not done yet: nobody handles Sort"),
        ("exercise-3", sorter("async for kg in tunnel:", "    await tunnel.send(kg)"), "there came back [80, 20, 50,"),
        ("exercise-3", sorter("heavy = [kg async for kg in tunnel if kg >= 50]"), "nothing came back within a minute"),
        ("exercise-3", sorter("await tunnel.send(80)"), "the other side has left, and reads no more"),
    ],
    "05-scheduler-and-store.ipynb": [
        ("exercise-1", "times = 24", "24 is any other day"),
        ("exercise-1", "times = 23", "you say 23"),
        ("exercise-2", "async def enter(store, name):\n    await store.set('guests', name)", "there is 'south 14'"),
        (
            "exercise-2",
            "async def enter(store, name):\n"
            "    names = await store.get('guests') or []\n    await store.set('guests', [*names, name])",
            "are in the list. What if both doors read",
        ),
        (
            "exercise-2",
            "async def enter(store, name):\n"
            "    await store.update('guests', lambda names: [*(names or []), name, name], list[str])",
            "is in the list more than once",
        ),
    ],
    "06-many-routers.ipynb": [
        ("exercise-1", "each = 30", "would be a notification"),
        ("exercise-1", "each = 10", "you say 10"),
        ("exercise-2", "class Ledger(Manager): ...", "Not done yet: nobody but mail wants Sold"),
        (
            "exercise-2",
            "class Ledger(Manager):\n    @handles\n    async def sold(self, event: Sold) -> None:\n"
            "        entries.append('sold')",
            "the ledger has 10 entries: ['sold',",
        ),
    ],
    "07-an-outage.ipynb": [
        ("exercise-1", "waiting = 20", "you say 20"),
        ("exercise-2", "protection = dict.fromkeys(protection, 'nothing')", "receiver is killed, with nothing"),
        ("exercise-2", "protection = dict.fromkeys(protection, 'handled')", "nothing is missing even without handled"),
        ("exercise-2", "protection = dict.fromkeys(protection, 'tape')", "'tape' is no protection"),
        (
            "exercise-2",
            "protection = dict(zip(protection, ['nothing', 'handled', 'handled']))",
            "when the sender is killed while the line is cut, with handled",
        ),
    ],
    "08-break-it.ipynb": [
        ("exercise-1", "def answered_within_two_seconds(run):\n    return 1 / 0", "ended with ZeroDivisionError"),
        ("exercise-1", "def answered_within_two_seconds(run):\n    return ['slow']", "on a calm day nothing is slow"),
        (
            "exercise-1",
            "def answered_within_two_seconds(run):\n"
            "    return [span.event_id for span in run.spans if (span.latency or 9) > 2]",
            "slow checkouts, and your rule names",
        ),
        ("exercise-2", "cause = GALE", "somebody pays twice without the reset bank-hub, too"),
        ("exercise-2", "cause = [GALE[3]]", "with slow consumer bank alone nothing is broken"),
        ("exercise-2", "cause = []", "with no fault alone nothing is broken"),
        ("exercise-2", "cause = 'slow consumer'", "make a list of faults of GALE"),
    ],
    "10-deploy-it.ipynb": [
        ("exercise-1", "looks_at = '127.0.0.1:7401'", "this is what the file says"),
        ("exercise-1", "looks_at = '127.0.0.1:7400'", "nobody says '127.0.0.1:7400'"),
        ("exercise-1", "looks_at = 7402", "nobody says 7402"),
        ("exercise-2", double_bakery("south", "south", "south"), "when south is dead, only "),
        ("exercise-2", double_bakery(["north", "south"], ["north", "south"], "south"), "when south is dead, only "),
        ("exercise-2", double_bakery("north", "north", "south"), "nodes 'street' (at north) and 'oven' (at south)"),
        ("exercise-2", "def two_switches():\n    return topology", "there is one switch only"),
        ("exercise-2", "def two_switches():\n    return None", "Not quite: return the topology"),
        ("exercise-2", double_bakery("north", "north", None), "only 0 of 30"),
    ],
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_checks_praise_the_solutions_and_tell_what_is_wrong(path: Path, tmp_path: Path) -> None:
    expected = [(exercise, code, "Well done: ") for exercise, code in solutions(read(path))] + WRONG[path.name]
    said = judged(path, [(exercise, code) for exercise, code, _ in expected], tmp_path)
    assert len(said) == len(expected)
    for (exercise, code, message), text in zip(expected, said, strict=True):
        assert message in text, f"{exercise}: {code}"
