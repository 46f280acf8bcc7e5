"""Where switches listen, and what a node shows to them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from edri_sim.errors import SettingsError

DEFAULT_PORT = 7400


@dataclass(frozen=True, slots=True)
class Address:
    """Where a switch listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """``host:port``, or a host alone, with port 7400. Raises SettingsError."""
        host, colon, port = text.strip().rpartition(":")
        if not colon:
            host, port = port, str(DEFAULT_PORT)
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdigit() or not 0 < int(port) < 65_536:
            raise SettingsError(f"switch address {text!r}: expected host:port, such as 127.0.0.1:{DEFAULT_PORT}")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a node shows to a switch: a shared token, and certificates where the line is encrypted."""

    token: str = ""
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"Credentials(token={'set' if self.token else 'none'}, tls={'on' if self.tls else 'off'})"
