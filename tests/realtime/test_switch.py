"""The switch over real TCP: who is let in, and what it says of itself."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Node
from edri_sim.links import switch as switches
from edri_sim.links.switch import Switch, SwitchConfig
from edri_sim.realtime.host import LocalHost
from tests.realtime.pair import Left, Shout
from tests.realtime.programs import free_address
from tests.worlds import until


@asynccontextmanager
async def listening(**config: Any) -> AsyncIterator[Switch]:
    async with Switch("hub", free_address(), LocalHost(), SwitchConfig(**config)) as switch:
        yield switch


@asynccontextmanager
async def connected(switch: Switch, count: int = 1) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Connections that have not said hello."""
    pairs = [await asyncio.open_connection(switch.address.host, switch.address.port) for _ in range(count)]
    try:
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.close()


def encrypted(folder: Path) -> ssl.SSLContext:
    pytest.importorskip("cryptography")
    from edri_sim.links.tls import server_context
    from edri_sim.realtime.certificates import make_certificates

    cert, key = make_certificates(folder, ["hub"])["hub"]
    return server_context(cert, key, folder / "ca.crt")


async def test_those_who_have_not_said_hello_may_be_so_many_and_no_more() -> None:
    async with listening(greeting=2) as switch, connected(switch, 2):
        await until(lambda: switch.status()["greeting"] == 2)
        async with connected(switch) as (third,):
            assert await third.read() == b""
        assert switch.status()["greeting"] == 2
        assert switch.status()["counts"] == {"refused, crowd": 1}
    await until(lambda: switch.status()["greeting"] == 0)


async def test_connections_that_never_agree_on_a_cipher_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switches, "GREETING_WITHIN", 0.3)
    async with listening(tls=encrypted(tmp_path)) as switch:
        async with connected(switch, 3) as silent:
            await until(lambda: switch.status()["greeting"] == 3)
            assert [await reader.read() for reader in silent] == [b"", b"", b""]
        _, writer = await asyncio.open_connection(switch.address.host, switch.address.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: switch.status()["greeting"] == 0)
        writer.close()
        assert switch.status()["counts"] == {"refused, silence": 4}


async def test_the_status_has_the_nodes_that_are_there_and_those_that_were() -> None:
    async with listening() as switch:
        async with (
            Node("left", Left, switches=[str(switch.address)]) as left,
            Node("right", switches=[str(switch.address)]) as right,
        ):
            assert await right.request(Shout("Hi")) == "HI"
            status = switch.status()
            assert list(status["nodes"]) == ["left", "right"]
            assert status["absent"] == {}
            for node in (left, right):
                port = status["nodes"][node.name]
                assert port["incarnation"] == f"{switch.ports[node.name].incarnation:x}"
                assert port["address"].startswith("127.0.0.1:")
                assert port["relayed"] >= 1
                assert (port["queue"], port["dropped"]) == (0, 0)
                assert 0 <= port["seconds"] <= status["seconds"]
        await until(lambda: not switch.ports)
        assert switch.status()["absent"] == {name: status["nodes"][name]["incarnation"] for name in status["nodes"]}
        assert (status["switch"], status["address"], status["tls"]) == ("hub", str(switch.address), False)
        assert json.loads(json.dumps(status)) == status
