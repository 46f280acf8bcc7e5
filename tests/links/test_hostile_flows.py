"""What no good router sends about a flow: it is refused, and harms nothing."""

from __future__ import annotations

import pytest

from edri_sim.links.frames import GAP, MAX_HOPS, UNKNOWN_FLOW, Ack, BadFrame, Data, Reset, Sync, encode
from tests.links.exchanges import Pair, only, raw


def data_frame(**fields: object) -> Data:
    values = {
        "dst": "b", "src": "a", "kind": 1, "type": "Note", "outbox": 1, "generation": 1, "incarnation": 1, "lane": 1,
        "base": 1, "seq": 1, "origin": 1, "event": 1, "ref": 0, "schema": "", "remaining": -1.0, "trace": "",
        "hops": 1, "payload": b"x", "places": 1,
    }  # fmt: skip
    return Data(**{**values, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "flags", "fields"),
    [
        ("bad_place", 0, {"seq": 0, "base": 0}),
        ("bad_place", 0, {"base": 2}),
        ("bad_place", 0, {"seq": 2**63}),
        ("bad_place", GAP, {"places": 0, "payload": b""}),
        ("bad_place", GAP, {"places": 2**64 - 1, "payload": b""}),
        ("bad_gap", 0, {"places": 2}),
        ("bad_gap", GAP, {"places": 2}),
        ("too_many_hops", 0, {"hops": MAX_HOPS + 1}),
    ],
)
def test_data_that_no_router_sends_is_refused(code: str, flags: int, fields: dict[str, object]) -> None:
    pair = Pair().meet()
    with pytest.raises(BadFrame, match=f"^{code}: "):
        pair.b.receive(raw(encode(data_frame(**fields), flags)), 0.0)
    assert pair.b.take_news() == []
    assert pair.b.frames(0.0) == []


@pytest.mark.parametrize("lane", [2, 3, 2**64 - 1])
def test_the_lane_of_no_tunnel_is_answered_and_not_kept(lane: int) -> None:
    pair = Pair().meet()
    pair.b.receive(raw(encode(data_frame(lane=lane))), 0.0)
    pair.b.receive(raw(encode(Sync("b", "a", 0, "", 1, 1, 1, lane, 1, 0, 1))), 0.0)
    assert pair.b.take_news() == []
    assert {reset.reason for reset in only(Reset, pair.b.frames(0.0))} == {UNKNOWN_FLOW}
    assert pair.b.peers["a"].receives == {}


def test_gaps_without_end_cost_nothing_and_break_nothing() -> None:
    pair = Pair().meet()
    for seq, cum in ((1, 2**62), (2**62, 2**63 - 1), (2**61, 2**63 - 1)):
        gap = data_frame(seq=seq, places=2**62, payload=b"")
        pair.b.receive(raw(encode(gap, GAP)), 0.0)
        assert [ack.cum for ack in only(Ack, pair.b.frames(1.0))] == [cum]


def test_what_lies_beyond_the_window_is_not_held() -> None:
    pair = Pair(window=8).meet()
    for seq in range(2, 2_000):
        pair.b.receive(raw(encode(data_frame(seq=seq))), 0.0)
    lane = pair.b.peers["a"].receives[1]
    assert (len(lane._waiting), lane.refused) == (7, 1_991)


@pytest.mark.parametrize(
    "fields", [{"cum": 9}, {"ranges": [(5, 9)]}, {"sync": 1}, {"cum": 2**64 - 1}, {"ranges": [(2, 1)]}]
)
def test_an_impossible_acknowledgement_is_refused(fields: dict[str, object]) -> None:
    pair = Pair().meet()
    for _ in range(3):
        pair.push()
    pair.a.frames(0.0)
    values = {"cum": 0, "ranges": [], "window": 10, "sync": 0, "rejected": []}
    ack = Ack("a", "b", 0, "", 1, 1, 1, 1, **{**values, **fields})  # type: ignore[arg-type]
    with pytest.raises(BadFrame, match=r"^bad_ack: ACK from b: "):
        pair.a.receive(raw(encode(ack)), 0.0)
    pair.settle(0.5)
    assert pair.delivered() == [1, 2, 3]


@pytest.mark.parametrize("last", [3, 2**63])
def test_an_impossible_sync_is_refused(last: int) -> None:
    pair = Pair().meet()
    with pytest.raises(BadFrame, match=r"^bad_place: SYNC from a: "):
        pair.b.receive(raw(encode(Sync("b", "a", 0, "", 1, 1, 1, 1, 5, last, 1))), 0.0)


def test_a_reset_for_no_known_reason_is_refused() -> None:
    pair = Pair().meet()
    with pytest.raises(BadFrame, match=r"^unknown_reason: RESET from b: the reason 'WHIM'$"):
        pair.a.receive(raw(encode(Reset("a", "b", 0, "", 1, 1, 1, 1, "WHIM", 1, 0))), 0.0)


def test_a_flow_that_begins_in_its_middle_is_unknown() -> None:
    pair = Pair().meet()
    pair.b.receive(raw(encode(data_frame(base=5, seq=5))), 0.0)
    assert [reset.reason for reset in only(Reset, pair.b.frames(0.0))] == [UNKNOWN_FLOW]
    assert pair.b.take_news() == []
