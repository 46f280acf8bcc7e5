"""What guards the lines between nodes and switches, from settings: certificates, allow-lists, and where to listen."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from ssl import SSLContext

from edri_sim.errors import SettingsError
from edri_sim.host import Host
from edri_sim.links.address import Address
from edri_sim.links.permissions import Permissions
from edri_sim.links.tls import client_context, server_context
from edri_sim.settings import Settings, SwitchSettings


def server_tls(settings: SwitchSettings) -> SSLContext | None:
    """What a switch encrypts with, or None without certificates. Raises SettingsError for a file that will not do."""
    return _tls(settings, server_context)


def client_tls(settings: Settings) -> SSLContext | None:
    """What a node encrypts with, or None without certificates. Raises SettingsError for a file that will not do."""
    return _tls(settings, client_context)


def _tls(settings: Settings | SwitchSettings, make: Callable[[Path, Path, Path], SSLContext]) -> SSLContext | None:
    if not settings.tls_cert:
        return None
    return make(Path(settings.tls_cert), Path(settings.tls_key), Path(settings.tls_ca))


def read_permissions(settings: Settings | SwitchSettings) -> Permissions:
    """The allow-lists of the file that the setting ``allow`` names; without one, all is allowed.

    Raises SettingsError for a file that cannot be read, or allows nothing to anybody.
    """
    if not settings.allow:
        return Permissions()
    try:
        table = tomllib.loads(Path(settings.allow).read_text(encoding="utf-8")).get("allow")
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"setting allow={settings.allow!r}: {error}") from error
    if not isinstance(table, dict) or not table:
        # An empty table would allow everything, and that is not what a file that is given means.
        raise SettingsError(f"setting allow={settings.allow!r}: expected a table [allow.NODE] for each node")
    try:
        return Permissions(table)
    except SettingsError as error:
        raise SettingsError(f"setting allow={settings.allow!r}: {error}") from error


def check_line(address: Address, host: Host, what: str, *, encrypted: bool, insecure: bool) -> None:
    """Refuse to talk to other machines in the clear, unless told to. ``what`` is the address's part, for the message.

    Raises SettingsError, which says what to do.
    """
    if encrypted or insecure or host.is_private(address.host):
        return
    raise SettingsError(
        f"{what} {address} is not on this machine alone, and there are no certificates: make some (edri-sim certs) and"
        " give --cert, --key and --ca (the settings tls_cert, tls_key and tls_ca), or say --insecure (insecure=True)"
        " where the network is trusted"
    )


def check_status(address: Address, host: Host, settings: SwitchSettings) -> None:
    """Refuse to show a switch's status to other machines, unless told to. Raises SettingsError."""
    if not settings.insecure and not host.is_private(address.host):
        raise SettingsError(
            f"status address {address} is not on this machine alone, and whoever connects can read the status: listen"
            " on a loopback address such as 127.0.0.1, or say --insecure where the network is trusted"
        )
