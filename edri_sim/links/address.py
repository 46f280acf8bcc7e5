"""Where switches listen."""

from __future__ import annotations

from dataclasses import dataclass

from edri_sim.errors import SettingsError

DEFAULT_PORT = 7400


@dataclass(frozen=True, slots=True)
class Address:
    """Where a switch listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, lowest: int = 1) -> Address:
        """``host:port``, or a host alone, with port 7400. Raises SettingsError; also for a port below ``lowest``."""
        host, colon, port = text.strip().rpartition(":")
        if not colon:
            host, port = port, str(DEFAULT_PORT)
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or not lowest <= int(port) < 65_536:
            raise SettingsError(f"switch address {text!r}: expected host:port, such as 127.0.0.1:{DEFAULT_PORT}")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
