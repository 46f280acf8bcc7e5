"""Mutual TLS 1.3 over real connections: who is let in, who is not, and what is said of files that will not do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives import serialization

from edri_sim.errors import SettingsError
from edri_sim.links.tls import client_context, server_context
from edri_sim.realtime.certificates import make_certificates

Triple = tuple[Path, Path, Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nodes' certificates; in ``others`` those of another authority."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificates(folder, ["web", "hub"])
    make_certificates(folder / "others", ["web"])
    return folder


def of(folder: Path, name: str) -> Triple:
    return folder / f"{name}.crt", folder / f"{name}.key", folder / "ca.crt"


class Refused(Exception):
    """The server ended the connection, and its program never heard of it."""


def attempt(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> str:
    """Connect, say hello and hear it back; returns the version of TLS that was spoken."""
    heard: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(5))
        writer.write(heard[0])
        writer.close()

    async def main() -> str:
        listening = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server)
        port = listening.sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(20):
                return await talk(port)
        finally:
            listening.close()
            await listening.wait_closed()

    async def talk(port: int) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=host)
        try:
            # In TLS 1.3 a client is through before the server has seen its certificate; it says no by hanging up.
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            version: str = writer.get_extra_info("ssl_object").version()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            assert heard == []
            raise Refused from error
        finally:
            writer.transport.abort()
        return version

    return asyncio.run(main())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "hub"])
def test_two_nodes_of_one_authority_speak_tls_1_3(folder: Path, host: str) -> None:
    assert attempt(server_context(*of(folder, "hub")), client_context(*of(folder, "web")), host) == "TLSv1.3"


def test_a_client_without_a_certificate_is_refused(folder: Path) -> None:
    client = ssl.create_default_context(cafile=folder / "ca.crt")
    with pytest.raises(Refused):
        attempt(server_context(*of(folder, "hub")), client)


def test_a_client_of_another_authority_is_refused(folder: Path) -> None:
    cert, key, _ = of(folder / "others", "web")
    with pytest.raises(Refused):
        attempt(server_context(*of(folder, "hub")), client_context(cert, key, folder / "ca.crt"))


def test_a_server_of_another_authority_is_refused(folder: Path) -> None:
    cert, key, _ = of(folder / "others", "web")
    with pytest.raises(ssl.SSLCertVerificationError):
        attempt(server_context(cert, key, folder / "ca.crt"), client_context(*of(folder, "web")))


def test_a_server_of_another_name_is_refused(folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        attempt(server_context(*of(folder, "hub")), client_context(*of(folder, "web")), "web")


def test_tls_1_2_is_refused(folder: Path) -> None:
    cert, key, ca = of(folder, "web")
    old = ssl.create_default_context(cafile=ca)
    old.load_cert_chain(cert, key)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        attempt(server_context(*of(folder, "hub")), old)


# Files that will not do


def encrypt(path: Path) -> None:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    how = serialization.BestAvailableEncryption(b"password")
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))


def words(path: Path) -> None:
    path.write_text("words")


def other(path: Path) -> None:
    path.write_bytes((path.parent / "hub.key").read_bytes())


SPOILT: list[tuple[int, Callable[[Path], object], str]] = [
    (0, Path.unlink, "setting tls_cert='{}': cannot be read: No such file or directory"),
    (1, Path.unlink, "setting tls_key='{}': cannot be read: No such file or directory"),
    (2, Path.unlink, "setting tls_ca='{}': cannot be read: No such file or directory"),
    (0, words, "setting tls_cert='{}': has no certificate in it; expected one, in PEM"),
    (1, words, "setting tls_key='{}': has no private key in it; expected one, in PEM"),
    (2, words, "setting tls_ca='{}': has no certificate in it; expected one, in PEM"),
    (0, other, "setting tls_cert='{}': has no certificate in it; expected one, in PEM"),
    (1, other, "setting tls_key='{}': does not belong to the certificate in {cert}"),
    (
        1,
        encrypt,
        "setting tls_key='{}': is encrypted; expected a key that is not, as nobody is there to type a password",
    ),
]


@pytest.mark.parametrize(("number", "spoil", "message"), SPOILT)
@pytest.mark.parametrize("make", [server_context, client_context])
def test_the_file_that_will_not_do_is_named(
    tmp_path: Path, make: Callable[..., ssl.SSLContext], number: int, spoil: Callable[[Path], object], message: str
) -> None:
    make_certificates(tmp_path, ["web", "hub"])
    files = of(tmp_path, "web")
    spoil(files[number])
    with pytest.raises(SettingsError) as caught:
        make(*files)
    assert str(caught.value) == message.format(files[number], cert=files[0])
