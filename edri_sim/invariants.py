"""What holds in every run, whatever breaks: rules, and a check of a run by its trace.

A rule is a function that gets a run and gives the violations that it finds, in words. Rules of one's own are such
functions too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from edri_sim import trace
from edri_sim.errors import SimulationError
from edri_sim.faults import Crash, Kill
from edri_sim.run import Run

Rule = Callable[[Run], Iterable[str]]
"""Gives what is wrong with a run, each in words; nothing if it holds."""

MANY = 5_000
"""Events that wait between two routers, beyond which those that found no room may have changed their order."""
NAMED = 5
"""Violations of one rule that an error names; the rest is counted."""

_DEATHS = tuple(f"{kind.kind} " for kind in (Kill, Crash))


class InvariantBroken(SimulationError):
    """A run broke rules that every run keeps; the message says which, and by what. ``run`` is the run."""

    def __init__(self, message: str, run: Run) -> None:
        super().__init__(message)
        self.run = run


def check(run: Run, rules: Iterable[Rule] = ()) -> None:
    """Check a run against all rules of this module, and others.

    Raises:
        InvariantBroken: it breaks some of them.
    """
    broken = []
    for rule in (*RULES, *rules):
        found = list(rule(run))
        more = [f"and {len(found) - NAMED} more"] if len(found) > NAMED else []
        broken += [f"{_name(rule)}: {'; '.join([*found[:NAMED], *more])}"] if found else []
    if broken:
        raise InvariantBroken("\n".join([f"seed {run.seed}: a run broke what every run keeps", *broken]), run)


def _name(rule: Rule) -> str:
    return str(getattr(rule, "__name__", rule)).replace("_", " ")


def delivered_once(run: Run) -> Iterator[str]:
    """No event comes to one life of a router twice."""
    names, seen = run.recorder.names.list(), Lives()
    for _, stage, _, component, origin, number, kind, _ in run.recorder.rows():
        if stage == trace.FAULT_BEGINS:
            seen.end(names[kind])
        elif stage == trace.DELIVERED:
            here = seen.of(_node(names[component]))
            here[origin, number] += 1
            if here[origin, number] == 2:
                yield f"{names[kind]} {names[origin]}/{number} was delivered twice to {_node(names[component])}"


def requests_end_once(run: Run) -> Iterator[str]:
    """A request has one end: a reply, or an error."""
    names = run.recorder.names.list()
    ends: Counter[tuple[int, int]] = Counter()
    for _, stage, _, _, origin, number, kind, _ in run.recorder.rows():
        if stage in (trace.REPLIED, trace.FAILED):
            ends[origin, number] += 1
            if ends[origin, number] == 2:
                yield f"{names[kind]} {names[origin]}/{number} ended twice"


def delivered_was_sent(run: Run) -> Iterator[str]:
    """What is delivered was accepted by an outbox, and was not given up before."""
    for way in run.traffic.crossings.values():
        what = f"{way.type} {way.event_id} from {way.source} to {way.target}"
        if way.delivered is not None and (way.accepted is None or way.accepted > way.delivered):
            yield f"{what} was delivered and had not been sent"


def lanes_have_no_holes(run: Run) -> Iterator[str]:
    """In each lane of each flow, what comes has the place after what came before."""
    yield from run.recorder.audit.holes


def delivered_in_order(run: Run) -> Iterator[str]:
    """Notifications of one life of a sender come to a life of a receiver in the order of their publication."""
    names, last = run.recorder.names.list(), Lives()
    requests = _request_types(run)
    flooded = {pair: max(run.backlog_of(*pair)[1], default=0) > MANY for pair in run.traffic.pairs}
    for _, stage, _, component, origin, number, kind, detail in run.recorder.rows():
        if stage == trace.FAULT_BEGINS:
            last.end(names[kind])
        elif stage == trace.DELIVERED and kind not in requests:
            node, source = _node(names[component]), names[detail]
            here = last.of(node)
            if number < here[origin, -1] and not flooded.get((source, node), False):
                yield f"{names[kind]} {names[origin]}/{number} came to {node} after number {here[origin, -1]}"
            here[origin, -1] = max(here[origin, -1], number)


def work_within_slots(run: Run) -> Iterator[str]:
    """A pool or manager handles no more events at once than it has slots, and ends none that it did not begin."""
    names, work = run.recorder.names.list(), Lives()
    for _, stage, _, component, _, _, kind, _ in run.recorder.rows():
        if stage == trace.FAULT_BEGINS:
            work.end(names[kind])
        elif stage in (trace.STARTED, trace.FINISHED):
            label = names[component]
            here, slots = work.of(_node(label)), run.recorder.slots.get(label, 1)
            here[component, 0] += 1 if stage == trace.STARTED else -1
            if not 0 <= here[component, 0] <= slots:
                yield f"{label} handles {here[component, 0]} events at once, with {slots} slots"


def loads_are_accounted_for(run: Run) -> Iterator[str]:
    """What a load offered has ended, failed, was missed, or is open, and no more than that."""
    for tally in run.tallies:
        if tally.open < 0:
            yield f"{tally}: more ends than events"


RULES: tuple[Rule, ...] = (
    delivered_once, requests_end_once, delivered_was_sent, lanes_have_no_holes, delivered_in_order, work_within_slots,
    loads_are_accounted_for,
)  # fmt: skip


class Lives:
    """Counts for the present life of each node."""

    def __init__(self) -> None:
        self._of: dict[str, Counter[tuple[int, int]]] = {}

    def of(self, node: str) -> Counter[tuple[int, int]]:
        """Those of one node."""
        return self._of.setdefault(node, Counter())

    def end(self, fault: str) -> None:
        """Forget those of a node that dies of a fault; of other faults nobody dies."""
        for death in _DEATHS:
            if fault.startswith(death):
                self._of.pop(fault.removeprefix(death), None)


def _node(label: str) -> str:
    return label.partition("/")[0]


def _request_types(run: Run) -> dict[int, None]:
    rows = run.recorder.rows()
    return {row[6]: None for row in rows if row[1] in (trace.REPLIED, trace.FAILED)}
