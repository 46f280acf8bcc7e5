"""TLS between nodes and switches: version 1.3 alone, and both sides show a certificate."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NoReturn

from edri_sim.errors import SettingsError


def server_context(cert: str | Path, key: str | Path, ca: str | Path) -> ssl.SSLContext:
    """For who listens: it takes no client without a certificate that one of ``ca`` has signed.

    The arguments are PEM files, those of the settings ``tls_cert``, ``tls_key`` and ``tls_ca``. Raises SettingsError,
    which names the file that will not do.
    """
    return _context(ssl.PROTOCOL_TLS_SERVER, Path(cert), Path(key), Path(ca))


def client_context(cert: str | Path, key: str | Path, ca: str | Path) -> ssl.SSLContext:
    """For who connects: the server must have a certificate of ``ca`` for the name that it was connected by.

    Arguments and errors are those of :func:`server_context`.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, Path(cert), Path(key), Path(ca))


def _context(side: int, cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    _trust(context, "tls_ca", ca)
    _trust(ssl.SSLContext(side), "tls_cert", cert)  # Only to see whether it is one: below, nothing would say so.
    _check_readable("tls_key", key)
    _identify(context, cert, key)
    return context


def _trust(context: ssl.SSLContext, name: str, path: Path) -> None:
    _check_readable(name, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise _bad(name, path, "has no certificate in it; expected one, in PEM") from error


def _identify(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    def refuse() -> NoReturn:
        raise _bad("tls_key", key, "is encrypted; expected a key that is not, as nobody is there to type a password")

    try:
        context.load_cert_chain(cert, key, password=refuse)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _bad("tls_key", key, f"does not belong to the certificate in {cert}") from error
        raise _bad("tls_key", key, "has no private key in it; expected one, in PEM") from error


def _check_readable(name: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise _bad(name, path, f"cannot be read: {error.strerror}") from error


def _bad(name: str, path: Path, problem: str) -> SettingsError:
    return SettingsError(f"setting {name}='{path}': {problem}")
