"""What the runtime itself costs on a host, from the trace of a run that is made for it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from edri_sim.errors import DeclarationError
from edri_sim.registry import registry
from edri_sim.service.fitting import straight
from edri_sim.service.measured import SECOND, Measured, works_of
from edri_sim.service.model import Costs, check_amount


def calibrate(run: Measured, sizes: Mapping[type[Any], float] | None = None) -> Costs:
    """The costs of a host, from a run of one client that sends its next request as soon as it has the last reply.

    That is one node with ``load.Clients(make, count=1, node=...)``. ``Costs.event`` is the median time from one request
    to the next, less the handler's own. ``sizes`` are the encoded bytes of each type of event and its reply together:
    ``Costs.byte`` is then the slope, by least squares, of the handlers' own time over the size; its types are to be
    handled by one pool of mode "process", and to differ in nothing but their size.

    Raises:
        DeclarationError: the run has no rows or no such requests, or requests overlap; fewer than two of the types
            that ``sizes`` has occurred, or all are of one size.
    """
    works = works_of(run)
    gaps = _gaps(run)
    if sizes is None:
        return Costs(event=gaps)
    names: dict[str, float] = {}
    for cls, size in sizes.items():
        check_amount(f"calibrate(sizes: {cls.__qualname__}", size, least=0)
        names[registry.snapshot().resolve(cls).name] = float(size)
    sized = [(names[work.type], work.own) for work in works if work.type in names]
    line = straight([size for size, _ in sized], [own for _, own in sized]) if sized else None
    if line is None:
        raise DeclarationError("calibrate(sizes=...): expected events of at least two sizes among those of the run")
    return Costs(event=gaps, byte=max(0.0, line[1]))


def _gaps(run: Measured) -> float:
    """The median of what passes, in seconds, between the requests of one client while no handler works."""
    requests = [span for span in run.counted if not span.cause and span.ended is not None]
    gaps = []
    for span, following in pairwise(requests):
        assert span.ended is not None
        if following.created < span.ended:
            raise DeclarationError(
                f"calibrate: {following.event_id} was sent before {span.event_id} had ended: expected a run of one"
                " client, load.Clients(make, count=1, node=...)"
            )
        busy = sum(visit.finished - visit.started for visit in span.visits if visit.finished is not None)
        gaps.append(following.created - span.created - busy)
    if not gaps:
        raise DeclarationError("calibrate: expected a run of one client with at least two requests that were answered")
    return statistics.median(gaps) / SECOND
