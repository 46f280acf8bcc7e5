"""Links that are cut: what is lost is sent again at TCP's times, and given up at TCP's end."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim.simulation.cables import CUT, Effect
from edri_sim.simulation.network import WINDOW
from edri_sim.topology import LinkSpec
from tests.simulation.connections import forget, serve
from tests.simulation.physical import LATENCY, Cabled, cabled

FOREVER = 1e9
HUB = (LinkSpec("web", "hub", 0.1), LinkSpec("hub", "mail", 0.1))

# Both directions ------------------------------------------------------------------------------------------------------


def test_what_is_written_over_a_cut_link_gets_through_at_the_next_retransmission_and_not_at_once() -> None:
    with cabled() as net:
        net.cut("web", "mail", 0.5, 3)
        net.write(1, b"one ")
        net.write(2, b"two ")
        net.write(3.5, b"three")
        # Sent again at 1.2, 1.6, 2.4 and 4 s; the link is there again from 3 s on.
        assert net.arrivals(net.server) == [(4.01, b"one two three")]
        assert net.client.log == []


@pytest.mark.parametrize(("heals", "arrives"), [(1.1, 1.2), (1.3, 1.6), (2.3, 2.4), (4.1, 7.2), (30, 52), (600, 685.6)])
def test_retransmissions_double_from_200_ms_to_two_minutes(heals: float, arrives: float) -> None:
    with cabled() as net:
        net.cut("web", "mail", 0.5, heals)
        net.write(1, b"x")
        assert net.arrivals(net.server) == [(pytest.approx(arrives + LATENCY), b"x")]


def test_what_was_on_its_way_at_the_cut_is_lost_and_sent_again() -> None:
    with cabled(LinkSpec("web", "mail", 0.1)) as net:
        net.cut("web", "mail", 1.05, 1.06)
        net.write(0.9, b"through ")
        net.write(1, b"lost ")
        net.write(1.1, b"behind it")
        assert net.arrivals(net.server) == [(1, b"through "), (1.35, b"lost behind it")]


def test_what_has_passed_the_cut_link_arrives() -> None:
    with cabled(*HUB) as net:
        net.cut("web", "hub", 1.15, 2)
        net.write(1, b"passed ")
        net.write(1.1, b"not passed")
        # That "passed" has come is heard by a probe, sent at 2.55; what was lost is sent after that.
        assert net.arrivals(net.server) == [(1.2, b"passed "), (2.95, b"not passed")]


def test_what_has_not_come_to_the_cut_link_is_lost_there_and_only_if_it_is_still_cut() -> None:
    with cabled(*HUB) as net:
        net.cut("hub", "mail", 1.02, 1.05)
        net.write(1, b"in time ")
        net.cut("hub", "mail", 2.02, 2.2)
        net.write(2, b"too early")
        assert net.arrivals(net.server) == [(1.2, b"in time "), (2.5, b"too early")]


def test_what_is_sent_again_may_take_its_time() -> None:
    with cabled(LinkSpec("web", "mail", 1_000)) as net:
        net.write(1, b"far away")
        net.cut("web", "mail", 500, 501)
        net.cut("web", "mail", 1_900, 1_901)
        # Sent again at 500.2 and 500.6, lost once more at 1,900, and sent at once, as there was time enough to wait.
        assert [data for _, data in net.arrivals(net.server)] == [b"far away"]
        assert net.client.log == []


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_finds_a_line_in_order_though_ties_are_shuffled(seed: int) -> None:
    together, apart = LinkSpec("web", "hub", 0.01, jitter=0.1), LinkSpec("hub", "mail", 0.01, bandwidth=1_000)
    with cabled(together, apart, seed=seed, shuffle=True) as net:
        for number in range(50):
            net.write(1 + number / 1_000, bytes([number]) * 10)
        net.cut("hub", "mail", 1.3, 1.4)
        got = b"".join(data for _, data in net.arrivals(net.server))
        assert got == b"".join(bytes([number]) * 10 for number in range(50))


def test_an_idle_connection_survives_any_cut() -> None:
    with cabled() as net:
        net.write(0, b"before")
        net.cut("web", "mail", 1, 1_000_000)
        net.write(1_000_001, b"after")
        net.write(1_000_001, b"too", net.server)
        assert net.arrivals(net.server) == [(LATENCY, b"before"), (1_000_001 + LATENCY, b"after")]
        assert net.ran(net.client) == [(1_000_001 + LATENCY, b"too")]


def test_a_sender_gives_up_after_fifteen_retransmissions() -> None:
    with cabled() as net:
        net.cut("web", "mail", 1, FOREVER)
        net.write(2, b"x")
        net.write(900, b"held with it")
        log = net.ran(net.client)
        assert [what for _, what in log] == ["TimeoutError"]
        assert log[0][0] == pytest.approx(2 + 924.6)
        assert net.server.log == []


def test_the_error_of_a_time_out_names_host_and_reason() -> None:
    errors: list[Exception | None] = []
    with cabled() as net:
        net.client.connection_lost = errors.append  # type: ignore[method-assign]
        net.cut("web", "mail", 1, FOREVER)
        net.write(2, b"x")
        net.kernel.run()
    assert [str(error) for error in errors] == ["[Errno 110] host 'mail' does not answer"]


def test_the_end_of_a_stream_is_sent_again_too_even_if_the_program_has_closed() -> None:
    with cabled() as net:
        net.cut("web", "mail", 0.5, 3)
        net.write(1, b"goodbye")
        net.at(1.1, net.client.transport.close)
        assert net.ran(net.server) == [(4.01, b"goodbye"), (4.02, "eof")]
        assert net.ran(net.client) == [(1.1, "lost")]


def test_a_closed_connection_is_given_up_sooner() -> None:
    with cabled() as net:
        net.cut("web", "mail", 0.5, 150)
        net.write(1, b"goodbye")
        net.at(1.1, net.client.transport.close)
        assert net.ran(net.server) == []
        net.begin -= 200 - net.kernel.now + net.begin
        net.write(200, b"are you there", net.server)
        assert [what for _, what in net.ran(net.server)] == ["ConnectionResetError"]


def test_a_reset_is_not_sent_again() -> None:
    with cabled() as net:
        net.server.transport.pause_reading()
        net.write(0, b"unread")
        net.cut("web", "mail", 1, 3)
        net.at(2, net.server.transport.close)  # with bytes unread: a reset, which is lost
        net.write(5, b"are you there")
        assert net.ran(net.client) == [(5.02, "ConnectionResetError")]


def test_a_connection_that_is_closed_at_both_ends_is_not_repeated_for() -> None:
    with cabled() as net:
        net.cut("web", "mail", 1, FOREVER)
        net.write(2, b"x")
        net.at(3, net.client.transport.close)
        net.at(3, net.server.transport.close)
        net.kernel.run(until=net.begin + 10)
        assert net.client.transport.outbound.held == net.server.transport.outbound.held
        assert len(net.client.transport.outbound.held) == 0


# One direction --------------------------------------------------------------------------------------------------------


def test_one_way_nothing_passes_and_the_other_way_only_the_acknowledgements_are_missing() -> None:
    with cabled() as net:
        net.disturb(("web", "mail"), 0.5, 3)
        net.write(1, b"there")
        net.write(1, b"first ", net.server)
        net.write(1.1, b"second", net.server)
        assert net.arrivals(net.server) == [(4.01, b"there")]
        # What comes at 4.01 says too that "first" has come, so what was held is sent.
        assert net.arrivals(net.client) == [(1.01, b"first "), (4.02, b"second")]


def test_one_way_without_traffic_a_probe_finds_out_that_all_has_come() -> None:
    with cabled() as net:
        net.disturb(("web", "mail"), 0.5, 3)
        net.write(1, b"first ", net.server)
        net.write(1.1, b"second", net.server)
        assert net.arrivals(net.client) == [(1.01, b"first "), (4.03, b"second")]  # asked at 1.21, 1.61, 2.41, 4.01


def test_what_travels_the_other_way_tells_what_has_come_if_it_left_late_enough() -> None:
    with cabled() as net:
        net.disturb(("web", "mail"), 0.5, 3)
        net.write(1, b"first ", net.server)
        net.write(1.1, b"second", net.server)
        net.write(3.2, b"by the way")
        assert net.arrivals(net.client) == [(1.01, b"first "), (3.22, b"second")]
    with cabled(LinkSpec("web", "hub", 0.1), LinkSpec("hub", "mail", 1)) as net:
        net.disturb(("web", "hub"), 1.2, 3)
        net.write(0.3, b"first ", net.server)  # it comes at 1.4
        net.write(1, b"by the way")  # it comes at 2.1, and cannot know of that
        net.write(2.5, b"second", net.server)
        assert net.arrivals(net.client) == [(1.4, b"first "), (4.2, b"second")]  # by a probe that left at 2


def test_a_sender_that_hears_nothing_gives_up_though_all_has_arrived() -> None:
    with cabled() as net:
        net.disturb(("mail", "web"), 0.5, FOREVER)
        net.write(1, b"arrives")
        log = net.ran(net.client)
        assert log == [(pytest.approx(1.01 + 924.6), "TimeoutError")]
        assert net.arrivals(net.server) == [(1.01, b"arrives")]


def test_a_sender_without_room_asks_until_it_hears_that_its_bytes_were_read() -> None:
    with cabled() as net:
        net.server.transport.pause_reading()
        net.write(0, bytes(WINDOW + 1_000))
        net.disturb(("mail", "web"), 1, 3)
        net.at(2, net.server.transport.resume_reading)
        got = [(when, len(data)) for when, data in net.arrivals(net.server)]
        assert sum(size for when, size in got if when == 2) == WINDOW
        assert [(when, size) for when, size in got if when > 2] == [(3.42, 1_000)]  # it asks at 2.2, 2.6 and 3.4 s


def test_a_receiver_that_reads_during_a_cut_makes_no_idle_sender_give_up() -> None:
    with cabled() as net:
        net.server.transport.pause_reading()
        net.write(0, bytes(WINDOW))
        net.cut("web", "mail", 1, 5_000)
        net.at(2, net.server.transport.resume_reading)
        net.write(6_000, b"x")
        # It still thinks that the window is closed, and asks after 0.2 s.
        assert net.arrivals(net.server)[-1] == (6_000.22, b"x")
        assert net.client.log == []
        assert net.client.transport.outbound.room == WINDOW


# Connecting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ways", [["web>mail"], ["mail>web"], ["web>mail", "mail>web"]])
def test_connecting_over_a_cut_link_is_repeated(ways: list[str]) -> None:
    with cabled() as net:
        for way in ways:
            a, b = way.split(">")
            net.disturb((a, b), 0, 5)
        serve(net.kernel, net.loops["mail"], forget, port=26)

        async def main() -> float:
            await asyncio.sleep(0.5)
            _, writer = await asyncio.open_connection("mail", 26)
            writer.close()
            return net.kernel.now - net.begin

        assert net.kernel.run(main(), net.loops["web"]) == pytest.approx(0.5 + 1 + 2 + 4 + 2 * LATENCY)


def test_connecting_over_a_cut_link_is_given_up() -> None:
    with cabled() as net:
        net.direction("web", "mail").impose("for good", CUT)
        with pytest.raises(TimeoutError, match="the host does not answer"):
            net.kernel.run(asyncio.open_connection("mail", 25), net.loops["web"])
        assert net.kernel.now - net.begin == pytest.approx(127 + LATENCY)


def test_connecting_takes_added_latency() -> None:
    with cabled() as net:
        serve(net.kernel, net.loops["mail"], forget, port=26)
        net.direction("web", "mail").impose("slow", Effect(latency=1))

        async def main() -> None:
            _, writer = await asyncio.open_connection("mail", 26)
            writer.close()

        begin = net.kernel.now
        net.kernel.run(main(), net.loops["web"])
        assert net.kernel.now - begin == pytest.approx(1 + 2 * LATENCY)


# Machines -------------------------------------------------------------------------------------------------------------


def crash(net: Cabled, name: str) -> None:
    net.loops[name].shut()
    net.network.crash(net.loops[name])


def restart(net: Cabled, name: str) -> None:
    net.loops[name] = net.kernel.loop(name)
    net.network.restart(name)


def test_a_machine_without_power_forwards_nothing() -> None:
    with cabled(*HUB) as net:
        net.at(1, crash, net, "hub")
        net.write(0.95, b"lost there ")
        net.write(1.5, b"held")
        net.at(2, restart, net, "hub")
        # Lost at 1.05, and sent again at 1.25, 1.65 and 2.45.
        assert net.arrivals(net.server) == [(2.65, b"lost there held")]


def test_a_machine_whose_program_is_killed_or_paused_forwards_on() -> None:
    with cabled(*HUB) as net:
        net.at(1, net.loops["hub"].pause)
        net.write(2, b"one")
        net.at(3, net.loops["hub"].shut)
        net.at(3, net.network.kill, net.loops["hub"])
        net.write(4, b"two")
        assert net.arrivals(net.server) == [(2.2, b"one"), (4.2, b"two")]


def test_a_new_path_leads_through_no_dead_machine_either() -> None:
    with cabled(*HUB) as net:
        crash(net, "hub")
        serve(net.kernel, net.loops["mail"], forget, port=26)
        with pytest.raises(TimeoutError, match="the host does not answer"):
            net.kernel.run(asyncio.open_connection("mail", 26), net.loops["web"])


@pytest.mark.parametrize("cut", [False, True])
def test_a_crashed_and_restarted_host_resets_what_comes(cut: bool) -> None:
    with cabled() as net:
        if cut:
            net.cut("web", "mail", 0.5, 12)
        net.at(1, crash, net, "mail")
        net.at(10, restart, net, "mail")
        net.write(2, b"half open")
        log = net.ran(net.client)
        assert [what for _, what in log] == ["ConnectionResetError"]
        assert net.kernel.now == pytest.approx(net.begin + log[0][0])  # nothing is left that would be sent again
        # Sent again after 0.2, 0.6, 1.4, 3, 6.2 and 12.6 s.
        assert log[0][0] == pytest.approx(14.6 + 2 * LATENCY, abs=2 * LATENCY)


def test_more_may_be_under_way_to_a_crashed_host_when_its_silence_is_noticed() -> None:
    with cabled() as net:
        net.at(1, crash, net, "mail")
        net.write(2, b"lost")
        net.write(2.205, b"under way")  # The first has not been answered at 2.21.
        net.at(10, restart, net, "mail")
        assert [what for _, what in net.ran(net.client)] == ["ConnectionResetError"]


def test_a_crashed_host_sends_nothing_again() -> None:
    with cabled() as net:
        net.cut("web", "mail", 0.5, 3)
        net.write(1, b"x")
        net.at(2, crash, net, "web")
        assert net.ran(net.server) == []
        assert net.kernel.now - net.begin < 10


def test_the_system_of_a_killed_program_sends_again_what_it_had_and_the_end() -> None:
    with cabled() as net:
        net.cut("web", "mail", 0.5, 3)
        net.write(1, b"last words")
        net.at(2, net.loops["web"].shut)
        net.at(2, net.network.kill, net.loops["web"])
        assert net.ran(net.server) == [(4.01, b"last words"), (4.02, "eof")]
