"""What a notebook shows of an object, as HTML that needs no script: tables, and pictures in ``<img>``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from functools import singledispatch
from html import escape
from typing import Any

from edri_sim.errors import DeclarationError, NodeStopped
from edri_sim.events import Notification, Request, Tunnel, event_type
from edri_sim.managers.manager import Manager
from edri_sim.managers.worker import Component
from edri_sim.node import Node
from edri_sim.run import Run
from edri_sim.topology import Topology
from edri_sim.viz import theme
from edri_sim.viz.accessor import Plots
from edri_sim.viz.network import draw_network

PICTURED = 20_000
"""Rows of a trace up to which a run in a cell is a picture too: of a longer one it would be waited for."""
_LONG = 80
"""Letters of a value, of which the middle is left out if there are more."""

Line = Sequence[object]


@singledispatch
def html(thing: object) -> str:
    """What stands for an object in a notebook; of a kind that has nothing of its own, its words."""
    return f"<pre>{escape(repr(thing))}</pre>"


@html.register
def _topology(topology: Topology) -> str:
    if not topology.nodes and not topology.switches:
        return f"<pre>{escape(repr(topology))}</pre>"
    return _picture(draw_network(None, topology), f"the machines and links of {topology.name}")


@html.register
def _run(run: Run) -> str:
    kind = f"simulated, seed {run.seed}" if run.simulated else "real time"
    words = f"{kind}: {run.duration:.6g} s, {len(run.spans):,} events, digest {run.digest[:12]}"
    table = _table(
        ("event", "count", "ok", "p50 ms", "p95 ms", "p99 ms"), (_type_line(run, name) for name in run.types)
    )
    if not run.spans or len(run.recorder) > PICTURED:
        return _headed("Run", words) + table
    return (
        _headed("Run", words) + table + _picture(Plots(run).topology(), "the machines and links of the run at its end")
    )


def _type_line(run: Run, name: str) -> Line:
    count = sum(span.type == name for span in run.spans)
    ranks = run.percentiles(name).values()
    return (name, f"{count:,}", f"{len(run.latencies(name)):,}", *(f"{1000 * rank:.4g}" for rank in ranks))


@html.register(Notification)
@html.register(Request)
@html.register(Tunnel)
def _event(event: Any) -> str:
    entry = event_type(event)
    rows = [(field.name, _short(repr(getattr(event, field.name)))) for field in dataclasses.fields(event)]
    return _headed(entry.name, entry.kind) + _table(("field", "value"), rows)


@html.register
def _node(node: Node) -> str:
    table = _table(("part",), [(_part_name(factory),) for factory in node.parts]) if node.parts else ""
    return _headed(f"Node {node.name}", "running" if node.running else "stopped") + table + _ended(node)


def _part_name(factory: object) -> str:
    return factory.__qualname__ if isinstance(factory, type) else repr(factory)


def _ended(node: Node) -> str:
    """How the events of a node have ended so far; nothing for one that was never started."""
    try:
        ended = node.trace.counters.ended
    except NodeStopped:
        return ""
    lines = [(name, outcome, f"{count:,}") for (name, outcome), count in ended.items()]
    return _table(("event", "ended", "count"), lines) if lines else ""


@html.register
def _component(component: Component) -> str:
    cls = type(component)
    pools = cls.pools() if issubclass(cls, Manager) else {}
    try:
        lines = _handlers(cls, "itself")
        for name, pool in pools.items():
            lines += _handlers(pool.worker, f"pool {name}: {pool.shape.size} \N{MULTIPLICATION SIGN} {pool.mode}")
    except DeclarationError as error:  # An annotation names what is not defined yet.
        return _headed(cls.__qualname__, str(error))
    kind = "manager" if issubclass(cls, Manager) else "worker"
    return _headed(cls.__qualname__, kind) + _table(("event", "handler", "in"), lines)


def _handlers(cls: type[Component], where: str) -> list[Line]:
    specs = cls.handler_table.resolve_at_start().values()
    return [(event_type(spec.cls).name, f"{cls.__qualname__}.{spec.name}", where) for spec in specs]


# HTML


def _picture(ax: Any, alt: str) -> str:
    return theme.image(theme.svg(theme.figure_of(ax)), alt)


def _headed(head: str, words: str) -> str:
    return f"<p><b>{escape(head)}</b> {escape(words)}</p>"


def _table(head: Sequence[str], lines: Iterable[Line]) -> str:
    rows = "".join(_row("td", line) for line in lines)
    return f"<table><thead>{_row('th', head)}</thead><tbody>{rows}</tbody></table>"


def _row(tag: str, cells: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"


def _short(words: str) -> str:
    if len(words) <= _LONG:
        return words
    return f"{words[: _LONG // 2]}\N{HORIZONTAL ELLIPSIS}{words[-_LONG // 2 :]}"
