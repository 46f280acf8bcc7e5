"""What a simulated host's event loop does not offer, each with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

_FILE_DESCRIPTORS = "simulated hosts have no file descriptors; use streams or protocols"
_PROCESSES = "a simulated host starts no real processes; declare a pool with mode='process'"
_DATAGRAMS = "the simulated network carries byte streams; use create_connection and create_server"
_UNIX = "the simulated network has host names and ports; use create_connection and create_server"
_TLS = "bytes on the simulated network need no encryption; leave TLS to real time"
_SIGNALS = "a simulated host gets no signals; stop or kill it through the simulation"
_DRIVEN = "the kernel runs the loops of a simulation; call run() of the simulation"

REASONS: dict[str, str] = {
    "run_forever": _DRIVEN,
    "run_until_complete": _DRIVEN,
    "stop": _DRIVEN,
    "close": "a simulated host's loop is closed with its simulation",
    "add_reader": _FILE_DESCRIPTORS,
    "remove_reader": _FILE_DESCRIPTORS,
    "add_writer": _FILE_DESCRIPTORS,
    "remove_writer": _FILE_DESCRIPTORS,
    "connect_accepted_socket": _FILE_DESCRIPTORS,
    "connect_read_pipe": _FILE_DESCRIPTORS,
    "connect_write_pipe": _FILE_DESCRIPTORS,
    "sock_recv": _FILE_DESCRIPTORS,
    "sock_recv_into": _FILE_DESCRIPTORS,
    "sock_recvfrom": _FILE_DESCRIPTORS,
    "sock_recvfrom_into": _FILE_DESCRIPTORS,
    "sock_sendall": _FILE_DESCRIPTORS,
    "sock_sendto": _FILE_DESCRIPTORS,
    "sock_connect": _FILE_DESCRIPTORS,
    "sock_accept": _FILE_DESCRIPTORS,
    "sock_sendfile": _FILE_DESCRIPTORS,
    "sendfile": _FILE_DESCRIPTORS,
    "subprocess_exec": _PROCESSES,
    "subprocess_shell": _PROCESSES,
    "create_datagram_endpoint": _DATAGRAMS,
    "create_unix_connection": _UNIX,
    "create_unix_server": _UNIX,
    "start_tls": _TLS,
    "add_signal_handler": _SIGNALS,
    "remove_signal_handler": _SIGNALS,
    "set_default_executor": "functions run on the simulated host's cores, not on a real executor",
}
"""The methods of :class:`asyncio.AbstractEventLoop` that raise NotImplementedError, and why."""


class LimitedLoop(asyncio.AbstractEventLoop):
    """An event loop whose unsupported methods say what to use instead."""


def _refusal(name: str, reason: str) -> Callable[..., NoReturn]:
    def refuse(self: object, *args: Any, **options: Any) -> NoReturn:
        raise NotImplementedError(f"loop.{name}() is not available in simulated time: {reason}")

    refuse.__name__ = name
    refuse.__qualname__ = f"LimitedLoop.{name}"
    return refuse


for _name, _reason in REASONS.items():
    setattr(LimitedLoop, _name, _refusal(_name, _reason))
