"""The invariants of the whole system, checked once it is at rest."""

from __future__ import annotations

from edri_sim import Run, Simulation
from edri_sim.invariants import InvariantBroken
from edri_sim.invariants import check as check_invariants
from edri_sim.traffic import Traffic, account
from tests.links.system_parts import Ledger, Life


class Violation(AssertionError):
    """A rule was broken; the message says which, and by what."""


def check(ledger: Ledger, simulation: Simulation, traffic: Traffic, readers: list[str]) -> None:
    """Raises Violation."""
    last = {name: Life(name, host.lives) for name, host in simulation.hosts.items() if name in simulation.nodes}
    durable = {name: node._spec.durable for name, node in simulation.nodes.items()}
    # What a life has accepted binds the next ones only if it was written down.
    bound = [life for life in ledger.incarnations if last[life.name] == life or durable[life.name]]
    check_once_and_in_order(ledger)
    check_requests(ledger)
    check_owed(ledger, traffic, bound)
    check_subscribers(traffic, readers)
    check_guarantee(ledger, traffic, bound, readers, last)
    check_empty(ledger, last)
    check_trace(simulation.result())


def check_trace(run: Run) -> None:
    """What every run keeps, whatever it is a run of."""
    try:
        check_invariants(run)
    except InvariantBroken as broken:
        raise Violation(str(broken)) from None


def check_once_and_in_order(ledger: Ledger) -> None:
    """No event twice in one life of a receiver; those of one sender in the order of their publication."""
    for life, notes in ledger.notes.items():
        former: dict[str, tuple[int, int]] = {}
        for note in notes:
            if note.key[1:] <= former.get(note.source, (0, 0)):
                raise Violation(f"{life} got {note} after {former[note.source]}: twice, or out of order")
            former[note.source] = note.key[1:]


def check_requests(ledger: Ledger) -> None:
    """A request is handled once at most, or in each life once if it may be repeated."""
    for key, times in ledger.asks.items():
        if times > 1:
            raise Violation(f"request {key} was handled {times} times")
    for (life, key), times in ledger.asks_again.items():
        if times > 1:
            raise Violation(f"{life} handled request {key} {times} times")


def check_owed(ledger: Ledger, traffic: Traffic, bound: list[Life]) -> None:
    """What was owed was delivered or given up; only what died with its sender's memory is left; no note is given up."""
    total = account(traffic.crossings.values())
    if total.owed != total.delivered + total.given_up + total.pending:
        raise Violation(f"the account is not even: {total}")
    origins = {f"{life.name}/{ledger.incarnations[life]:x}" for life in bound}
    for crossing in traffic.crossings.values():
        owed = crossing.event_id.rpartition("/")[0] in origins
        if owed and crossing.type == "Note" and crossing.delivered is None:
            raise Violation(f"{crossing}: still owed when all was quiet")
        if crossing.type == "Note" and crossing.given_up is not None:
            raise Violation(f"{crossing}: given up, though its time was not over")


def check_subscribers(traffic: Traffic, readers: list[str]) -> None:
    """Notes go to nobody who does not want them."""
    for crossing in traffic.crossings.values():
        if crossing.type == "Note" and crossing.target not in readers:
            raise Violation(f"{crossing}: sent to a router that never subscribed")


def check_guarantee(
    ledger: Ledger, traffic: Traffic, bound: list[Life], readers: list[str], last: dict[str, Life]
) -> None:
    """Of what a sender accepted once it knew the subscription, all has arrived at a receiver that lived on, once."""
    for sender in bound:
        for reader in readers:
            if reader != sender.name and last[reader].number == 1:
                _check_pair(ledger, sender, last[reader])


def _check_pair(ledger: Ledger, sender: Life, reader: Life) -> None:
    got = [note.number for note in ledger.notes[reader] if note[:2] == sender]
    # All knew all subscriptions when the load began; a later life knows this one once something came of it.
    known = 1 if sender.number == 1 else min(got, default=None)
    if known is None:
        return
    missing = sorted({number for number in ledger.accepted[sender] if number >= known} - set(got))
    if missing:
        raise Violation(f"{reader} did not get notes {missing} of {sender}, which were accepted")


def check_empty(ledger: Ledger, last: dict[str, Life]) -> None:
    """No outbox holds anything, and no request is under way."""
    for name, actor in ledger.actors.items():
        if actor.life != last[name]:
            raise Violation(f"{name}: {actor.life} is the last that started, and {last[name]} should have")
        requests = actor.router.table.uplink.requests
        if requests.exchange.bytes or requests.live:
            raise Violation(f"{name} holds {requests.exchange.bytes} bytes, {requests.live} requests")
