"""Links between hosts: which path a connection takes, and what it does to the bytes."""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket

import pytest

from edri_sim.simulation.cables import Effect
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.network import WINDOW, Network
from edri_sim.simulation.routes import SEGMENT
from edri_sim.topology import LinkSpec
from tests.simulation.connections import Pair, Recorder, forget, serve
from tests.simulation.physical import LATENCY, Cabled, cabled

# Paths ----------------------------------------------------------------------------------------------------------------


def test_a_path_takes_the_latency_of_its_links() -> None:
    with cabled(LinkSpec("web", "hub", 0.01), LinkSpec("mail", "hub", 0.02)) as net:
        assert net.begin == pytest.approx(3 * 0.03)  # request, answer, and the server takes it
        net.write(1, b"there")
        net.write(2, b"back", net.server)
        assert net.ran(net.server) == [(1.03, b"there")]
        assert net.ran(net.client) == [(2.03, b"back")]


def relays(*specs: LinkSpec) -> tuple[str, ...]:
    network = Network(Kernel(), links=specs)
    there, back = network.path("web", "mail"), network.path("mail", "web")
    assert there.relays == tuple(reversed(back.relays))
    assert there.latency == back.latency
    return tuple(there.relays)


def test_a_connection_takes_the_path_of_least_latency() -> None:
    around = [LinkSpec("web", "hub", 0.01), LinkSpec("hub", "mail", 0.02)]
    assert relays(LinkSpec("web", "mail", 0.04), *around) == ("hub",)
    assert relays(LinkSpec("web", "mail", 0.02), *around) == ()
    long = [
        LinkSpec("web", "x", 0.001),
        LinkSpec("x", "y", 0.001),
        LinkSpec("y", "z", 0.001),
        LinkSpec("z", "mail", 0.001),
    ]
    assert relays(*around, *long) == ("x", "y", "z")


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3)])
def test_ties_go_to_fewer_links_and_then_by_name_whatever_the_order_of_declaration(order: tuple[int, ...]) -> None:
    by_two = [LinkSpec(a, b, 0.25) for a, b in (("web", "b"), ("b", "mail"), ("mail", "a"), ("a", "web"))]
    listed = [*by_two, LinkSpec("web", "mail", 0.5)]
    assert relays(*(listed[number] for number in order)) == ()
    assert relays(*(listed[number] for number in order if number < 4)) == ("a",)
    links = Network(Kernel(), links=(listed[number] for number in order)).links
    assert list(links) == [("a", "mail"), ("a", "web"), ("b", "mail"), ("b", "web"), ("mail", "web")]


def test_without_links_between_them_hosts_cannot_connect() -> None:
    kernel = Kernel()
    Network(kernel, links=[LinkSpec("web", "hub"), LinkSpec("mail", "spare")])
    web, _ = kernel.loop("web"), kernel.loop("mail")
    with pytest.raises(OSError, match="no links lead from 'web' to 'mail'") as caught:
        kernel.run(asyncio.open_connection("mail", 25), web)
    assert caught.value.errno == errno.ENETUNREACH
    kernel.close()


def test_a_host_on_no_link_has_a_wire_to_every_other() -> None:
    kernel = Kernel()
    network = Network(kernel, latency=0.5, links=[LinkSpec("web", "hub", 0.1)])
    pair = Pair(kernel, kernel.loop("web"), kernel.loop("mail"))
    pair.at(0, pair.client.transport.write, b"over the wire")
    assert pair.ran(pair.server) == [(0.5, b"over the wire")]
    assert (network.path("hub", "web").latency, network.path("web", "web").latency) == (0.1, 0)
    kernel.close()


def test_connecting_stays_on_its_path_when_a_link_is_cut() -> None:
    direct, around = LinkSpec("web", "mail", 0.01), [LinkSpec("web", "hub", 0.1), LinkSpec("hub", "mail", 0.1)]
    with cabled(direct, *around) as net:
        net.cut("web", "mail", 0, 3)
        net.write(1, b"held")
        assert net.arrivals(net.server) == [(4.01, b"held")]  # sent again after 0.2, 0.6, 1.4 and 3 s


# Jitter ---------------------------------------------------------------------------------------------------------------

SHAKY = LinkSpec("web", "mail", LATENCY, jitter=0.05)


def delays(seed: int, also_back: bool = False, spec: LinkSpec = SHAKY) -> list[float]:
    with cabled(spec, seed=seed) as net:
        for number in range(50):
            net.write(number, b"x")
            if also_back:
                net.write(number + 0.5, b"y", net.server)
        return [round(when - number, 9) for number, (when, _) in enumerate(net.arrivals(net.server))]


def test_jitter_is_drawn_between_its_bounds() -> None:
    drawn = delays(1)
    assert len(drawn) == 50
    assert all(LATENCY <= delay <= LATENCY + 0.05 for delay in drawn)
    assert min(drawn) < LATENCY + 0.01
    assert max(drawn) > LATENCY + 0.04


def test_jitter_comes_from_the_seed_with_a_stream_for_each_direction() -> None:
    assert delays(1) == delays(1) == delays(1, also_back=True)
    assert delays(1) == delays(1, spec=LinkSpec("mail", "web", LATENCY, jitter=0.05))
    assert delays(1) != delays(2)


@pytest.mark.parametrize("shuffle", [False, True])
def test_jitter_lets_nothing_overtake(shuffle: bool) -> None:
    first, second = LinkSpec("web", "hub", LATENCY, jitter=0.05), LinkSpec("hub", "mail", LATENCY, bandwidth=1e6)
    with cabled(first, second, shuffle=shuffle) as net:
        sent = [bytes([number]) for number in range(200)]
        for number, data in enumerate(sent):
            net.write(number * 0.001, data)
        got = net.arrivals(net.server)
    assert b"".join(data for _, data in got) == b"".join(sent)
    assert [when for when, _ in got] == sorted(when for when, _ in got)


# Bandwidth ------------------------------------------------------------------------------------------------------------

NARROW = LinkSpec("web", "mail", LATENCY, bandwidth=1000)


def test_bytes_take_their_share_of_the_bandwidth() -> None:
    with cabled(NARROW) as net:
        net.write(1, bytes(500))
        net.write(1.1, bytes(250))
        net.write(5, bytes(100))
        net.write(1, bytes(100), net.server)
        assert [(when, len(data)) for when, data in net.arrivals(net.server)] == [(1.51, 500), (1.76, 250), (5.11, 100)]
        assert [(when, len(data)) for when, data in net.arrivals(net.client)] == [(1.11, 100)]


def test_what_is_written_at_one_instant_crosses_as_one() -> None:
    with cabled(NARROW) as net:
        for data in (b"a" * 50, b"b" * 50):
            net.write(1, data)
        assert net.arrivals(net.server) == [(1.11, b"a" * 50 + b"b" * 50)]


def second(net: Cabled) -> tuple[Recorder, list[Recorder]]:
    """One more connection over the same link, and its other end once there."""
    client, served = Recorder(net.kernel), list[Recorder]()

    async def listen() -> None:
        await net.loops["mail"].create_server(lambda: served.append(Recorder(net.kernel)) or served[-1], port=26)

    async def connect() -> None:
        await net.loops["web"].create_connection(lambda: client, "mail", 26)

    net.kernel.run(listen(), net.loops["mail"])
    net.kernel.run(connect(), net.loops["web"])
    net.kernel.run()
    net.begin = net.kernel.now
    return client, served


def test_connections_share_the_bandwidth_of_a_link() -> None:
    with cabled(NARROW) as net:
        client, served = second(net)
        net.write(1, bytes(500))
        net.write(1, bytes(100), client)
        net.kernel.run()
        assert [round(when - net.begin, 9) for when, data in served[0].log if isinstance(data, bytes)] == [1.61]


@pytest.mark.parametrize(("queue", "waits"), [(None, 20), (200, 0.4)])
def test_a_short_queue_lets_another_connection_pass_a_bulky_one(queue: int | None, waits: float) -> None:
    with cabled(LinkSpec("web", "mail", LATENCY, bandwidth=1000, queue=queue)) as net:
        client, served = second(net)
        for number in range(100):
            net.write(1 + number / 1e6, bytes(200))
        net.write(1.1, b"urgent", client)
        bulk = net.arrivals(net.server)
        assert sum(len(data) for _, data in bulk) == 20_000
        assert bulk[-1][0] == pytest.approx(21, abs=0.1)
        came = next(when for when, data in served[0].log if data == b"urgent") - net.begin - 1.1
        assert waits - 0.3 < came <= waits + 0.1


def test_a_short_queue_is_kept_full_over_a_long_link() -> None:
    with cabled(LinkSpec("web", "mail", 1, bandwidth=1000, queue=200)) as net:
        net.write(1, bytes(20_000))
        assert net.arrivals(net.server)[-1][0] == pytest.approx(1 + 20 + 1, abs=0.1)


def test_what_was_lost_gets_its_turn_at_a_full_queue() -> None:
    with cabled(LinkSpec("web", "mail", LATENCY, bandwidth=1000, queue=200)) as net:
        client, served = second(net)
        net.disturb(("web", "mail"), 1, 1.1)
        net.write(1.05, b"urgent", client)
        net.write(1.15, bytes(100_000))  # fills the queue at once, and for 100 s
        net.kernel.run()
        came = [when - net.begin for when, data in served[0].log if data == b"urgent"]
        assert came == [
            pytest.approx(1.6, abs=0.1)
        ]  # it waits in the queue's order, and not for a lucky retransmission


def test_a_host_that_crashes_sends_nothing_more_into_the_queue() -> None:
    with cabled(LinkSpec("web", "mail", LATENCY, bandwidth=1000, queue=200)) as net:
        net.write(0, bytes(10_000))
        net.at(1, net.loops["web"].shut)
        net.at(1, net.network.crash, net.loops["web"])
        assert 1_000 <= sum(len(data) for _, data in net.arrivals(net.server)) <= 1_200


def test_a_full_queue_stops_the_writer_and_loses_nothing() -> None:
    with cabled(LinkSpec("web", "mail", LATENCY, bandwidth=100_000, queue=10_000)) as net:
        transport = net.client.transport
        high = transport.get_write_buffer_limits()[1]
        sizes: list[int] = []
        net.write(0, bytes(WINDOW + high + 1))
        net.at(0.1, lambda: sizes.append(transport.get_write_buffer_size()))
        assert [what for _, what in net.ran(net.client)] == ["pause", "resume"]
        assert sizes == [high + 1]
        got = net.arrivals(net.server)
        assert sum(len(data) for _, data in got) == WINDOW + high + 1
        assert max(len(data) for _, data in got) == 10_000 < SEGMENT
        assert got[-1][0] == pytest.approx((WINDOW + high + 1) / 100_000, rel=0.2)


def test_two_links_are_crossed_one_after_the_other() -> None:
    with cabled(LinkSpec("web", "hub", 0.1, bandwidth=1000), LinkSpec("hub", "mail", 0.2, bandwidth=500)) as net:
        net.write(1, bytes(100))
        net.write(1.1, bytes(100))
        assert [when for when, _ in net.arrivals(net.server)] == [1 + 0.1 + 0.1 + 0.2 + 0.2, 1.6 + 0.2]


# Effects that come and go ---------------------------------------------------------------------------------------------


def test_added_latency_begins_and_ends_and_lets_nothing_overtake() -> None:
    with cabled() as net:
        net.disturb(("web", "mail"), 1, 2, Effect(latency=0.3))
        for when in (0.995, 1.5, 1.95, 2.1, 3):
            net.write(when, f"{when}".encode())
        net.write(1.5, b"back", net.server)
        assert net.arrivals(net.server) == [
            (1.005, b"0.995"), (1.81, b"1.5"), (2.26, b"1.95"), (2.26, b"2.1"), (3.01, b"3"),
        ]  # fmt: skip
        assert net.arrivals(net.client) == [(1.51, b"back")]


def test_added_jitter_is_drawn_too() -> None:
    with cabled() as net:
        net.disturb(("web", "mail"), 0, 100, Effect(latency=0.1, jitter=0.5))
        for number in range(50):
            net.write(number, b"x")
        drawn = [when - number for number, (when, _) in enumerate(net.arrivals(net.server))]
    assert 0.11 <= min(drawn) < 0.2
    assert 0.5 < max(drawn) <= 0.61


def test_a_lower_bandwidth_meets_what_is_on_its_way() -> None:
    with cabled(NARROW) as net:
        net.disturb(("web", "mail"), 1.5, 3.5, Effect(rate=100))
        net.write(1, bytes(1000))  # 500 in the first half second, 200 in the next two, 300 after them
        net.write(4, bytes(100))
        assert [when for when, _ in net.arrivals(net.server)] == [3.81, 4.11]


def test_the_lowest_of_several_rates_counts_and_latencies_add_up() -> None:
    with cabled() as net:
        for rate in (1000, 100, 500):
            net.disturb(("web", "mail"), 1, 3, Effect(latency=0.1, rate=rate))
        net.write(1, bytes(100))
        assert [when for when, _ in net.arrivals(net.server)] == [2.31]


def test_a_host_that_is_paused_takes_bytes_into_its_window_over_any_link() -> None:
    with cabled(SHAKY) as net:
        net.at(1, net.loops["mail"].pause)
        net.write(2, b"for later")
        net.cut("web", "mail", 3, 3000)  # after it was acknowledged: nobody has anything to wait for
        net.at(2000, net.loops["mail"].resume)
        assert net.arrivals(net.server) == [(2000, b"for later")]
        assert net.client.log == []


def test_sockets_of_hosts_on_links_are_named_as_ever() -> None:
    with cabled() as net:
        found = net.network.addresses(net.loops["web"], "mail", 25)
        assert found[0][4] == ("mail", 25)
        with pytest.raises(socket.gaierror, match="no simulated host is named 'hub'"):
            net.network.addresses(net.loops["web"], "hub", 25)
        assert [repr(link) for link in net.network.links.values()] == ["<Link web-mail up>"]


def test_a_path_that_nothing_disturbs_costs_one_callback_a_flight() -> None:
    def callbacks(*effects: Effect) -> int:
        with cabled() as net:
            for effect in effects:
                net.direction("web", "mail").impose(effect, effect)
            net.kernel.run()
            before = net.kernel.engine.executed
            for number in range(100):
                net.write(number, b"x")
            net.kernel.run()
            return net.kernel.engine.executed - before - 100

    assert callbacks() == 100
    assert callbacks(Effect(latency=0.1)) >= 300


def test_after_a_disturbance_a_line_is_as_quick_as_before() -> None:
    with cabled() as net:
        net.cut("web", "mail", 1, 2)
        net.write(1.5, b"lost once")
        net.kernel.run()
        before = net.kernel.engine.executed
        net.begin = net.kernel.now
        for number in range(100):
            net.write(number, b"x")
        net.kernel.run()
        assert net.kernel.engine.executed - before == 200


def test_closed_connections_are_forgotten_by_their_path() -> None:
    with cabled() as net:
        path = net.network.path("web", "mail")
        assert len(path.lines) == 2
        net.client.transport.close()
        net.at(1, net.server.transport.close)
        net.kernel.run()
        assert path.lines == {}
        serve(net.kernel, net.loops["mail"], forget, port=26)


def test_names_of_paths_and_directions_are_readable() -> None:
    with cabled(LinkSpec("web", "hub", 0.01), LinkSpec("mail", "hub", 0.02)) as net:
        assert repr(net.network.path("web", "mail")) == "<Path web>hub hub>mail, 0.03 s>"
        assert repr(net.direction("hub", "mail")) == "<Direction hub>mail>"
        pairs = list(itertools.chain.from_iterable(link.directions for link in net.network.links.values()))
        assert sorted(pairs) == [("hub", "mail"), ("hub", "web"), ("mail", "hub"), ("web", "hub")]
