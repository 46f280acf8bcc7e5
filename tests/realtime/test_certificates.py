"""`edri-sim certs`: what it makes, and what it refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edri_sim.errors import SettingsError
from edri_sim.realtime.certificates import make_certificates
from tests.test_cli import MAIN, edri, refused

YEAR = timedelta(days=365)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def extension(cert: x509.Certificate, kind: type[Any]) -> Any:
    return cert.extensions.get_extension_for_class(kind).value


def test_each_name_has_a_certificate_that_the_authority_has_signed(tmp_path: Path) -> None:
    files = make_certificates(tmp_path / "tls", ["web", "localhost"])
    assert list(files) == ["ca", "web", "localhost"]
    authority = certificate(files["ca"][0])
    authority.verify_directly_issued_by(authority)
    assert extension(authority, x509.BasicConstraints).ca
    for name, hosts in (("web", ["localhost", "web"]), ("localhost", ["localhost"])):
        cert, key = certificate(files[name][0]), files[name][1]
        cert.verify_directly_issued_by(authority)
        names = extension(cert, x509.SubjectAlternativeName)
        assert names.get_values_for_type(x509.DNSName) == hosts
        assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]
        assert not extension(cert, x509.BasicConstraints).ca
        secret = serialization.load_pem_private_key(key.read_bytes(), None)
        assert isinstance(secret, ec.EllipticCurvePrivateKey)
        assert isinstance(secret.curve, ec.SECP256R1)
        assert secret.public_key() == cert.public_key()
    assert len({certificate(path).serial_number for path, _ in files.values()}) == 3


def test_how_long_they_live_and_who_may_read_the_keys(tmp_path: Path) -> None:
    files = make_certificates(tmp_path, ["web"])
    for name, life in (("ca", 10 * YEAR), ("web", YEAR)):
        cert = certificate(files[name][0])
        assert abs(cert.not_valid_after_utc - datetime.now(UTC) - life) < timedelta(minutes=10)
        assert cert.not_valid_before_utc < datetime.now(UTC)
        assert [path.stat().st_mode & 0o777 for path in files[name]] == [0o644, 0o600]


def test_nothing_is_replaced_unless_it_is_said(tmp_path: Path) -> None:
    files = make_certificates(tmp_path, ["web"])
    before = {path: path.read_bytes() for pair in files.values() for path in pair}
    with pytest.raises(
        SettingsError, match=r"/web.crt: exists already; choose another folder, or --force to replace it"
    ):
        make_certificates(tmp_path, ["hub", "web"])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    files["web"][1].chmod(0o644)
    make_certificates(tmp_path, ["web"], force=True)
    assert files["web"][0].read_bytes() != before[files["web"][0]]
    assert files["web"][1].stat().st_mode & 0o777 == 0o600
    assert files["ca"][0].read_bytes() == before[files["ca"][0]]


def test_a_node_that_is_added_later_is_signed_by_the_same_authority(tmp_path: Path) -> None:
    first = make_certificates(tmp_path, ["web"])
    authority = certificate(first["ca"][0])
    later = make_certificates(tmp_path, ["hub"])
    assert certificate(later["ca"][0]) == authority
    certificate(later["hub"][0]).verify_directly_issued_by(authority)


@pytest.mark.parametrize(
    ("file", "content"),
    [("ca.key", None), ("ca.key", "words"), ("ca.crt", "words"), ("ca.crt", "other"), ("ca.key", "encrypted")],
)
def test_a_damaged_authority_is_not_used_and_not_replaced(tmp_path: Path, file: str, content: str | None) -> None:
    make_certificates(tmp_path, ["web"])
    path = tmp_path / file
    key = serialization.load_pem_private_key((tmp_path / "web.key").read_bytes(), None)
    contents = {
        "words": b"words",
        "other": (tmp_path / "web.crt").read_bytes(),
        "encrypted": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        ),
    }
    if content is None:
        path.unlink()
    else:
        path.write_bytes(contents[content])
    for force in (False, True):
        with pytest.raises(SettingsError, match=r"/ca.crt and ca.key: not an authority that was made here; choose"):
            make_certificates(tmp_path, ["hub"], force=force)
    assert not (tmp_path / "hub.crt").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Web"], "certificate name 'Web': expected 1 to 64 of a-z, 0-9, '.', '_' and '-'"),
        (["../web"], "certificate name '../web': expected 1 to 64 of a-z, 0-9, '.', '_' and '-'"),
        (["web", "hub", "web"], "certificate name 'web': given twice"),
        (["ca"], "certificate name 'ca': this is the authority's own; expected another"),
    ],
)
def test_a_bad_name_is_named(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_certificates(tmp_path / "tls", names)
    assert str(caught.value) == message
    assert not (tmp_path / "tls").exists()


# The command


def test_the_command_says_what_to_set_and_that_it_is_for_development(tmp_path: Path) -> None:
    done = edri(tmp_path, "certs", "tls", "--name", "web", "--name", "hub")
    assert (done.returncode, done.stderr) == (0, "")
    web, hub, warning = done.stdout.splitlines()
    assert web == "web: EDRI_TLS_CERT=tls/web.crt EDRI_TLS_KEY=tls/web.key EDRI_TLS_CA=tls/ca.crt"
    assert hub.startswith("hub: EDRI_TLS_CERT=tls/hub.crt ")
    assert warning.startswith("For development only: ")
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == [
        "ca.crt", "ca.key", "hub.crt", "hub.key", "web.crt", "web.key",
    ]  # fmt: skip


def test_the_command_prints_json(tmp_path: Path) -> None:
    done = edri(tmp_path, "certs", tmp_path / "tls", "--json")
    assert done.returncode == 0
    files = json.loads(done.stdout)
    assert list(files) == ["ca", "localhost"]
    assert files["localhost"] == {
        "cert": str(tmp_path / "tls" / "localhost.crt"),
        "key": str(tmp_path / "tls" / "localhost.key"),
    }


def test_bad_usage_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("words")
    assert refused(edri(tmp_path, "certs")).startswith("Missing argument 'DIR'")
    assert refused(edri(tmp_path, "certs", "tls", "--name", "Web")).startswith("certificate name 'Web': expected 1 to")
    assert refused(edri(tmp_path, "certs", "file")) == "file: cannot be written: File exists"
    assert edri(tmp_path, "certs", "tls").returncode == 0
    assert refused(edri(tmp_path, "certs", "tls")) == (
        "tls/localhost.crt: exists already; choose another folder, or --force to replace it"
    )


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    done = edri(tmp_path, "certs", "tls", code=f"import sys; sys.modules['cryptography'] = None; {MAIN}")
    assert refused(done) == "making certificates needs the extra 'tls': pip install 'edri-sim[tls]'"
