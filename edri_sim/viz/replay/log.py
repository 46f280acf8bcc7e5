"""A film as bytes for the browser: a line of JSON that says what there is, and columns of numbers, all in one gzip.

Eight bytes come first: the length of the JSON, and the version of this layout, little-endian. Every part begins at a
multiple of eight bytes, so that a browser can look at the columns where they are.
"""

from __future__ import annotations

import gzip
import json
import struct
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edri_sim import trace
from edri_sim.viz.replay.film import WAYS, Film, Rows

VERSION = 1
NONE = 0xFFFF
"""What stands for no vertex."""


def packed(film: Film) -> bytes:
    """The film; equal films give equal bytes with one version of Python."""
    columns = _columns(film)
    head = _head(film) | {"columns": [[name, data.dtype.str[1:], len(data)] for name, data in columns.items()]}
    line = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    parts = [struct.pack("<II", len(line), VERSION), line, *(data.tobytes() for data in columns.values())]
    return gzip.compress(b"".join(part + bytes(-len(part) % 8) for part in parts), 6, mtime=0)


def _head(film: Film) -> dict[str, Any]:
    run, scene = film.run, film.scene
    return {
        "words": "simulated" if run.simulated else "real time",
        "seed": str(run.seed) if run.simulated else "",
        "duration": run.duration,
        "machines": scene.machines,
        "room": scene.room,
        "vertices": [vertex._asdict() for vertex in scene.vertices],
        "links": [link._asdict() for link in scene.links],
        "troubles": [trouble._asdict() for trouble in scene.troubles],
        "names": film.names,
        "types": [film.names[number] for number in film.types],
        "stages": trace.STAGES,
        "ways": WAYS,
    }


def _columns(film: Film) -> dict[str, NDArray[Any]]:
    rows = film.rows
    columns: dict[str, tuple[ArrayLike, str]] = {
        "row_time": ((rows[:, 0] - film.start) / 1e9, "<f8"),
        "row_stage": (rows[:, 1], "u1"),
        "row_vertex": (_vertices_of_rows(film), "<u2"),
        "row_component": (rows[:, 3], "<u4"),
        "row_event": (film.event_of_row, "<i4"),
        "row_type": (rows[:, 6], "<u4"),
        "row_detail": (_details(film), "<i4"),
        "event_origin": (film.origins, "<u4"),
        "event_number": (film.counts, "<u4"),
        **_flights(film),
        **_loads(film),
    }
    return {name: np.asarray(values).astype(kind) for name, (values, kind) in columns.items()}


def _vertices_of_rows(film: Film) -> list[int]:
    """Where each row was written, in what is shown."""
    known = film.scene.numbers
    places = [
        known.get(name.partition("/")[0] if film.scene.machines else name, NONE) for name in film.names
    ]  # fmt: skip
    return [places[component] for component in film.rows[:, 3].tolist()]


def _details(film: Film) -> Rows:
    """The details of all rows; a parent is an event of the film, or -1."""
    created = film.rows[:, 1] == trace.CREATED
    details = film.rows[:, 7].copy()
    details[created] = [film.parents.get(event, -1) for event in film.event_of_row[created].tolist()]
    return details


def _flights(film: Film) -> dict[str, tuple[ArrayLike, str]]:
    flights = film.flights
    return {
        "flight_event": ([flight.event for flight in flights], "<i4"),
        "flight_source": ([flight.source for flight in flights], "<u2"),
        "flight_via": ([NONE if flight.via is None else flight.via for flight in flights], "<u2"),
        "flight_target": ([flight.target for flight in flights], "<u2"),
        "flight_start": ([flight.start for flight in flights], "<f8"),
        "flight_end": ([flight.end for flight in flights], "<f8"),
        "flight_way": ([flight.way for flight in flights], "u1"),
    }


def _loads(film: Film) -> dict[str, tuple[ArrayLike, str]]:
    """The running totals at each vertex: ``load_from`` is where those of each vertex begin."""
    changes = np.array([(c.vertex, c.time, c.what, c.by) for c in film.changes], "<f8").reshape(-1, 4)
    vertices = changes[:, 0].astype(int)
    begins = np.searchsorted(vertices, np.arange(len(film.scene.vertices) + 1))
    totals = []
    for what in range(3):
        running = np.concatenate([[0], np.cumsum(np.where(changes[:, 2] == what, changes[:, 3], 0))])
        # The sum over all vertices before the first change of this one is not its own.
        totals.append(running[1:] - running[begins[vertices]] if len(changes) else running[1:])
    return {
        "load_from": (begins, "<u4"),
        "load_time": (changes[:, 1], "<f8"),
        "load_outbox": (totals[0], "<i4"),
        "load_queued": (totals[1], "<i4"),
        "load_busy": (totals[2], "<i4"),
    }
