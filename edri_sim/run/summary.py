"""A run in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edri_sim.run.words import Line, milliseconds, table

if TYPE_CHECKING:
    from edri_sim.run import Run


def summary(run: Run) -> str:
    """Tables of counts, latencies and their parts by event type, of what was busy, and what passed between routers."""
    kind = f"simulated, seed {run.seed}" if run.simulated else "real time"
    since = f", the first {run.warm_up:g} s left out" if run.warm_up else ""
    blocks = [
        [f"{kind}: {run.duration:.3f} s{since}, {len(run.counted)} events, digest {run.digest[:12]}"],
        table(
            ("event", "count", "ok", "failed", "per s", "p50 ms", "p95 ms", "p99 ms"),
            [_type_line(run, type_) for type_ in run.types],
        ),
        _parts(run),
        _busy(run),
        [f"{source} to {target}: {run.account(source, target)}" for source, target in run.traffic.pairs],
        [str(tally) for tally in run.tallies],
        [f"the trace reached its cap: {run.recorder.lost} rows were not kept"] if run.recorder.lost else [],
    ]  # fmt: skip
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _type_line(run: Run, type_: str) -> Line:
    count = sum(span.type == type_ for span in run.counted)
    failed = run.count(type_, "failed") + run.count(type_, "dropped")
    ranks = map(milliseconds, run.percentiles(type_).values())
    return (type_, str(count), str(len(run.latencies(type_))), str(failed), f"{run.throughput(type_):.4g}", *ranks)


def _parts(run: Run) -> list[str]:
    """Where time went, in the mean; nothing where no event went from one router to another."""
    if not run.traffic.crossings:
        return []
    lines = [
        (type_, *map(milliseconds, (parts.queue, parts.network, parts.recovery, parts.service)))
        for type_ in run.types
        if (parts := run.mean_parts(type_)) is not None
    ]
    return table(("mean ms", "queue", "network", "recovery", "service"), lines) if lines else []


def _busy(run: Run) -> list[str]:
    slots = run.recorder.slots
    pools = [(name, str(slots.get(name, 1)), f"{share:.1%}") for name, share in run.utilisation().items()]
    machines = [
        (f"{what} {name}", "", f"{share:.1%}")
        for what, shares in (("cores of", run.cores), ("link", run.links))
        for name, share in shares.items()
        if share
    ]
    return table(("handled by", "slots", "busy"), [*pools, *machines]) if pools or machines else []
