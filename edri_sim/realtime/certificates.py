"""Certificates for development: an authority of one's own, and what it signs. Needs the extra ``tls``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from edri_sim.errors import DeclarationError, MissingExtra, SettingsError
from edri_sim.names import check_name

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    raise MissingExtra("making certificates", "tls") from error

AUTHORITY = "ca"
AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
SKEW = timedelta(minutes=5)
"""How far other machines' clocks may be behind: certificates begin so much before they are made."""

LOOPBACKS = (ip_address("127.0.0.1"), ip_address("::1"))
PRIVATE, PUBLIC = 0o600, 0o644


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_certificates(folder: Path, names: Sequence[str], *, force: bool = False) -> dict[str, tuple[Path, Path]]:
    """Make an authority ``ca`` and a certificate for each of ``names``; returns their (certificate, key) files in PEM.

    An authority that is in the folder already is used again, so that nodes can be added. Each certificate is good for
    both sides of mutual TLS, at localhost, 127.0.0.1, ::1 and its name. Keys are ECDSA P-256, not encrypted, and
    readable by their owner alone. The authority lives 10 years, the others 1 year.

    Raises:
        SettingsError: a name is no node's, is given twice or is the authority's; a certificate or key of a name exists
            and ``force`` is not given; the authority's files are damaged; or the folder cannot be written to.
    """
    _check_names(names)
    files = {name: (folder / f"{name}.crt", folder / f"{name}.key") for name in (AUTHORITY, *names)}
    found = _find_authority(*files[AUTHORITY])
    authority = found or _make_authority()
    made = {name: _make_leaf(name, authority) for name in names}
    if found is None:
        made[AUTHORITY] = authority
    try:
        _write({name: files[name] for name in made}, made, force=force)
    except OSError as error:
        raise SettingsError(f"{error.filename}: cannot be written: {error.strerror}") from error
    return files


def _find_authority(certificate: Path, key: Path) -> Signed | None:
    """The authority of an earlier call, if there was one."""
    if not certificate.exists() and not key.exists():
        return None
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        secret = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _no_authority(certificate, key) from error
    if not isinstance(secret, ec.EllipticCurvePrivateKey) or secret.public_key() != found.public_key():
        raise _no_authority(certificate, key)
    return Signed(found, secret)


def _no_authority(certificate: Path, key: Path) -> SettingsError:
    return SettingsError(f"{certificate} and {key.name}: not an authority that was made here; choose another folder")


def _check_names(names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        try:
            check_name("certificate", name)
        except DeclarationError as error:
            raise SettingsError(str(error)) from error
        if name == AUTHORITY:
            raise SettingsError(f"certificate name {name!r}: this is the authority's own; expected another")
        if name in names[:number]:
            raise SettingsError(f"certificate name {name!r}: given twice")


def _write(files: Mapping[str, tuple[Path, Path]], made: Mapping[str, Signed], *, force: bool) -> None:
    existing = [path for pair in files.values() for path in pair if path.exists()]
    if existing and not force:
        raise SettingsError(f"{existing[0]}: exists already; choose another folder, or --force to replace it")
    for path in existing:
        path.unlink()  # What it was open to, it would stay open to.
    for name, (certificate, key) in files.items():
        certificate.parent.mkdir(parents=True, exist_ok=True)
        _create(certificate, made[name].certificate.public_bytes(serialization.Encoding.PEM), PUBLIC)
        _create(key, _pem(made[name].key), PRIVATE)


def _create(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _make_authority() -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("edri-sim development CA")
    builder = (
        _builder(name, name, key, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    return Signed(builder.sign(key, hashes.SHA256()), key)


def _make_leaf(name: str, authority: Signed) -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    hosts = [x509.DNSName(host) for host in dict.fromkeys(("localhost", name))]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _builder(_name(name), authority.certificate.subject, key, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName([*hosts, *map(x509.IPAddress, LOOPBACKS)]), critical=False)
        .add_extension(issuer, critical=False)
    )
    return Signed(builder.sign(authority.key, hashes.SHA256()), key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(**wanted: bool) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{usage: wanted.get(usage, False) for usage in every})
