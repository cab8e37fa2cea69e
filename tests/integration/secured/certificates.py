"""Certificates made for one run: an authority, what it signs, and what has expired."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, as PEM files; `both` has them in one file, as Kafka's brokers take them."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates; `certificate` is the PEM file by which others know it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name, self._key = folder / name, _name(name), ec.generate_private_key(ec.SECP256R1())
        self._folder.mkdir(parents=True)
        mine = _build(self._name, self._name, self._key.public_key(), _now() - _DAY, _now() + _DAY)
        mine = mine.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        mine = mine.add_extension(_key_usage(signs=True), critical=True)
        self._subject_key = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        mine = mine.add_extension(self._subject_key, critical=False)
        self.certificate = self._folder / "authority.pem"
        self.certificate.write_bytes(_pem(mine.sign(self._key, hashes.SHA256())))

    def sign(
        self, name: str, *, addresses: Sequence[str] = (), expired: bool = False, password: str | None = None
    ) -> Identity:
        """Make a certificate for a server at these addresses, or for a client; its key with a password if there is one.

        One that has expired did so an hour ago.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        until = _now() - timedelta(hours=1) if expired else _now() + _DAY
        request = _build(_name(name), self._name, key.public_key(), until - 2 * _DAY, until)
        request = request.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        request = request.add_extension(_key_usage(signs=False), critical=True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._subject_key)
        request = request.add_extension(issuer, critical=False)
        if addresses:
            places = [x509.IPAddress(ipaddress.ip_address(it)) for it in addresses]
            request = request.add_extension(x509.SubjectAlternativeName(places), critical=False)
        return self._write(name, request.sign(self._key, hashes.SHA256()), key, password)

    def _write(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, password: str | None
    ) -> Identity:
        locked = serialization.BestAvailableEncryption(password.encode()) if password else None
        written = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked or serialization.NoEncryption()
        )
        made = Identity(*(self._folder / f"{name}{suffix}" for suffix in (".pem", ".key", ".both")))
        made.certificate.write_bytes(_pem(certificate))
        made.key.write_bytes(written)
        made.both.write_bytes(written + _pem(certificate))
        return made


def _build(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    serial = x509.random_serial_number()
    return x509.CertificateBuilder(issuer, subject, key, serial).not_valid_before(since).not_valid_after(until)


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _now() -> datetime:
    return datetime.now(UTC)
