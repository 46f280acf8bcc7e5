"""A run for other tools: CSV and Parquet, the trace viewers of Chrome and Perfetto, and OpenTelemetry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edri_sim.errors import MissingExtra
from edri_sim.run.spans import Span, Visit
from edri_sim.run.tables import events

if TYPE_CHECKING:
    from edri_sim.run import Run

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When a run began, for what needs a date, unless it is told another time."""

_INTERNAL, _PRODUCER, _CONSUMER = 1, 4, 5
_OK, _ERROR = 1, 2
_FAULTS = "faults"


def to_csv(run: Run, path: Path | str) -> None:
    """Write the table of events. Raises OSError, and MissingExtra without the extra ``lab``."""
    events(run).to_csv(path, index=False)


def to_parquet(run: Run, path: Path | str) -> None:
    """Write the table of events. Raises OSError, and MissingExtra without the extras ``lab`` and ``parquet``."""
    if find_spec("pyarrow") is None:
        raise MissingExtra("run.to_parquet", "parquet")
    events(run).to_parquet(path, index=False, engine="pyarrow")


# Chrome and Perfetto: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU


def to_perfetto(run: Run, path: Path | str) -> None:
    """Write Chrome's trace format: each event, and each handler's work on it, is a pair of asynchronous begin and end.

    A node is a process there, a component a thread. Times are in microseconds since the run began; what has not ended
    ends with the trace. Raises OSError.
    """
    threads = _Threads()
    listed = [record for span in run.spans for record in _perfetto_span(run, span, threads)]
    for number, (name, period) in enumerate(run.traffic.faults):
        pid, tid = threads.of(_FAULTS, _FAULTS)
        common = {"cat": "fault", "id": f"fault {number}", "name": name, "pid": pid, "tid": tid}
        end = run.last if period.end is None else period.end
        listed += [{"ph": "b", "ts": run.since(period.start), **common}, {"ph": "e", "ts": run.since(end), **common}]
    document = {"traceEvents": [*threads.names(), *listed], "displayTimeUnit": "ms"}
    Path(path).write_text(json.dumps(document), encoding="utf-8")


class _Threads:
    """The numbers of nodes and components."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {}
        self._threads: dict[tuple[str, str], int] = {}

    def of(self, node: str, component: str) -> tuple[int, int]:
        pid = self._processes.setdefault(node, len(self._processes) + 1)
        return pid, self._threads.setdefault((node, component), len(self._threads) + 1)

    def names(self) -> Iterator[dict[str, Any]]:
        for node, pid in self._processes.items():
            yield {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": node}}
        for (node, component), tid in self._threads.items():
            yield {"ph": "M", "name": "thread_name", "pid": self._processes[node], "tid": tid,
                   "args": {"name": component}}  # fmt: skip


def _perfetto_span(run: Run, span: Span, threads: _Threads) -> Iterator[dict[str, Any]]:
    pid, tid = threads.of(_origin(span), "events")
    whole = {"cat": "event", "id": span.event_id, "pid": pid, "tid": tid, "name": span.type}
    yield {"ph": "b", "ts": run.since(span.created), "args": {"outcome": span.outcome}, **whole}
    for visit in span.visits:
        pid, tid = threads.of(visit.component.partition("/")[0], visit.component)
        work = {"cat": "event", "id": span.event_id, "pid": pid, "tid": tid, "name": visit.component}
        yield {"ph": "b", "ts": run.since(visit.started), "args": {"slot": visit.slot}, **work}
        yield {"ph": "e", "ts": run.since(_end_of(run, visit)), **work}
    yield {"ph": "e", "ts": run.since(min(span.end, run.last)), **whole}


# OpenTelemetry: https://opentelemetry.io/docs/specs/otlp, the JSON form of ExportTraceServiceRequest


def to_otlp(run: Run, path: Path | str, *, epoch: datetime = EPOCH) -> None:
    """Write OTLP JSON: a trace for each event, whose first span is the event's, with one below it for each handler.

    ``epoch`` is the time, with its zone, at which the run began. Raises OSError.
    """
    began = round(epoch.timestamp() * 1e9) - run.began
    spans: dict[str, list[dict[str, Any]]] = {}
    for span in run.spans:
        trace_id, span_id = _hex(span.event_id, 16), _hex(span.event_id, 8)
        status = {"code": _OK} if span.outcome in ("replied", "handled") else {"code": _ERROR, "message": span.outcome}
        spans.setdefault(_origin(span), []).append(
            {
                "traceId": trace_id, "spanId": span_id, "name": span.type, "kind": _PRODUCER,
                **_times(began, span.created, min(span.end, run.last)),
                "attributes": [_text("edri.event_id", span.event_id), _text("edri.outcome", span.outcome)],
                "status": {} if span.outcome == "open" else status,
            }
        )  # fmt: skip
        for number, visit in enumerate(span.visits):
            spans.setdefault(visit.component.partition("/")[0], []).append(
                {
                    "traceId": trace_id, "spanId": _hex(f"{span.event_id}/{number}", 8), "parentSpanId": span_id,
                    "name": visit.component, "kind": _CONSUMER,
                    **_times(began, visit.started, _end_of(run, visit)),
                    "attributes": [{"key": "edri.slot", "value": {"intValue": str(visit.slot)}}],
                }
            )  # fmt: skip
    resources = [
        {
            "resource": {"attributes": [_text("service.name", node)]},
            "scopeSpans": [{"scope": {"name": "edri_sim"}, "spans": listed}],
        }
        for node, listed in spans.items()
    ]
    Path(path).write_text(json.dumps({"resourceSpans": resources}), encoding="utf-8")


def _times(began: int, start: float, end: float) -> dict[str, str]:
    # 64-bit integers are strings in protobuf's JSON.
    return {"startTimeUnixNano": str(began + int(start)), "endTimeUnixNano": str(began + int(end))}


def _text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def _hex(text: str, size: int) -> str:
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()


def _origin(span: Span) -> str:
    return span.event_id.partition("/")[0]


def _end_of(run: Run, visit: Visit) -> int:
    return run.last if visit.finished is None else visit.finished
