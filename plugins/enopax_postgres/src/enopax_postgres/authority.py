"""The certificate authority of an installation, and the certificates that it issues.

Customers get its certificate and can connect with `verify-full`. Administration and replication sign in with client
certificates: no password of a superuser exists anywhere.

An authority has a successor before it ends. Both are trusted for a year before the successor issues the first certificate,
so that a customer who fetches the credentials once a year never meets a server that he does not trust.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enopax_core.provider import PermanentError

AUTHORITY_LIFE = timedelta(days=20 * 365)
SUCCEED_BEFORE = timedelta(days=2 * 365)
"""A successor is made, and trusted, when less than this is left of an authority."""
HAND_OVER_BEFORE = timedelta(days=365)
"""The successor issues when less than this is left: more than the life of any certificate of the old one."""
SERVER_LIFE = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
"""A certificate is issued anew when less than this is left."""
BACKDATED = timedelta(days=1)
"""Clocks of clients may be slow."""


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate with its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


class Authority:
    """Keeps its keys, mode 0600, in a directory of its own: one after the other, `authority.pem` the first of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def certificate(self, now: datetime) -> bytes:
        """What to trust: the authority's own certificate and, before it ends, its successor's. PEM; made when first asked for."""
        return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate, _ in self._valid(now))

    def issue_server(self, name: str, hosts: Collection[str], now: datetime) -> Issued:
        """A certificate for a server that is reached under host names and addresses."""
        names: list[x509.GeneralName] = []
        for host in dict.fromkeys(hosts):
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, x509.SubjectAlternativeName(names), now)

    def issue_client(self, role: str, now: datetime) -> Issued:
        """A certificate with which a role of the database signs in."""
        return self._issue(role, ExtendedKeyUsageOID.CLIENT_AUTH, None, now)

    def _issue(
        self, name: str, usage: x509.ObjectIdentifier, alternative: x509.SubjectAlternativeName | None, now: datetime
    ) -> Issued:
        valid = self._valid(now)
        issuer, issuer_key = next((one for one in valid if one[0].not_valid_after_utc - now > HAND_OVER_BEFORE), valid[-1])
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(min(now + SERVER_LIFE, issuer.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if alternative is not None:
            builder = builder.add_extension(alternative, critical=False)
        certificate = builder.sign(issuer_key, hashes.SHA256())
        return Issued(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_pem(key))

    def _valid(self, now: datetime) -> list[_Signer]:
        """Those that have not ended, oldest first; at least one of them lasts longer than until its successor is due."""
        valid = [one for file in self._files() if (one := _read(file))[0].not_valid_after_utc > now]
        if not valid or valid[-1][0].not_valid_after_utc - now < SUCCEED_BEFORE:
            made = len(self._files())
            file = self._folder / (f"authority-{made + 1}.pem" if made else "authority.pem")
            self._create(file, now)
            valid.append(_read(file))
        return valid

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("authority*.pem"), key=lambda file: (len(file.name), file.name))

    def _create(self, file: Path, now: datetime) -> None:
        """Key and certificate in one file and in one step: whoever comes second takes the first one's."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Enopax database authority {x509.random_serial_number():x}"[:60])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = file.with_name(f".{os.getpid()}.{x509.random_serial_number():x}"[:40])
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
            opened.flush()
            os.fsync(opened.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
        draft.unlink()


_Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _read(file: Path) -> _Signer:
    content = file.read_bytes()
    key = serialization.load_pem_private_key(content, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PermanentError(f"{file} does not hold the key of this installation's certificate authority.")
    return x509.load_pem_x509_certificate(content), key


def expires(certificate: bytes) -> datetime:
    """When a certificate (PEM) stops being valid."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def is_due(certificate: bytes, hosts: Collection[str], now: datetime) -> bool:
    """Whether a server's certificate (PEM) must be issued anew: it ends soon, or lacks a name."""
    loaded = x509.load_pem_x509_certificate(certificate)
    if loaded.not_valid_after_utc - now < RENEW_BEFORE:
        return True
    found = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    named = {str(name.value) for name in found}
    return not named.issuperset(hosts)


_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
