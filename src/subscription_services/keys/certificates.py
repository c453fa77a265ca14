"""A small authority for the house's own services: mutual TLS between its processes, and for hosts beside it.

Keys are ECDSA P-256. A certificate carries one URI, spiffe://DOMAIN/NAME, as its identity (SPIFFE X.509-SVID) and
is good for one side of a connection only: a client's certificate cannot play the server.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from subscription_services.kernel.errors import Invalid, StartError

AUTHORITY_DAYS = 3650
DAYS = 90
RENEW_BEFORE = timedelta(days=30)
SERVER = "keys"
"""Name of the key service itself."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Identity:
    """The files that one process shows and believes."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority in a directory that only the service's own user may enter; `domain` is its trust domain."""

    directory: Path
    domain: str

    @property
    def certificate(self) -> Path:
        return self.directory / "authority.crt"

    @property
    def _key(self) -> Path:
        return self.directory / "authority.key"

    def identity(self, name: str) -> str:
        """The URI of a name."""
        return f"spiffe://{self.domain}/{name}"

    def prepare(self, now: datetime) -> None:
        """Make the authority where there is none. Raises StartError when it is there and unfit."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.certificate.exists() and not self._key.exists():
            self._make(now)
            return
        certificate, key = self._load()
        if certificate.public_key() != key.public_key() or certificate.not_valid_after_utc - RENEW_BEFORE < now:
            raise StartError(
                f"The authority in {self.directory} is out of date or does not fit its key. Move that directory away: "
                "a new one is made at the next start, and hosts beside this one need new certificates of it."
            )

    def issue(self, name: str, now: datetime, *, server: bool = False, hosts: Sequence[str] = ()) -> Identity:
        """A certificate for `name`, made or renewed 30 days before its end. Raises Invalid, StartError."""
        if not _NAME.fullmatch(name):
            raise Invalid(f"{name!r} cannot name a client: small letters, digits and hyphens, at most 63.")
        files = Identity(self.directory / f"{name}.crt", self.directory / f"{name}.key", self.certificate)
        authority, authority_key = self._load()
        if not self._is_good(files, authority, self.identity(name), server, now):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = self._leaf(name, key.public_key(), authority, server, hosts, now)
            signed = certificate.sign(authority_key, hashes.SHA256())
            _write(files.key, _private(key))
            _write(files.certificate, signed.public_bytes(serialization.Encoding.PEM))
        return files

    def _leaf(
        self, name: str, key: ec.EllipticCurvePublicKey, authority: x509.Certificate, server: bool,
        hosts: Sequence[str], now: datetime,
    ) -> x509.CertificateBuilder:  # fmt: skip
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(self.identity(name))]
        names += [_host(host) for host in hosts]
        end = min(now + timedelta(days=DAYS), authority.not_valid_after_utc)
        return (
            x509.CertificateBuilder()
            .subject_name(_subject(name))
            .issuer_name(authority.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_issued_by(authority), critical=False)
        )

    def _is_good(
        self, files: Identity, authority: x509.Certificate, identity: str, server: bool, now: datetime
    ) -> bool:
        try:
            certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
            key = serialization.load_pem_private_key(files.key.read_bytes(), None)
            certificate.verify_directly_issued_by(authority)
        except Exception:
            return False
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        return (
            certificate.public_key() == key.public_key()
            and identity_of(certificate) == identity
            and (ExtendedKeyUsageOID.SERVER_AUTH in usage) == server
            and certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc - RENEW_BEFORE
            and not files.key.stat().st_mode & 0o077
        )

    def _make(self, now: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(f"{self.domain} internal authority")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(self._key, _private(key))
        _write(self.certificate, certificate.public_bytes(serialization.Encoding.PEM))

    def _load(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            key = serialization.load_pem_private_key(self._key.read_bytes(), None)
        except OSError as error:
            raise StartError(f"The authority's file {error.filename} cannot be read: {error.strerror}.") from None
        except ValueError:
            raise StartError(f"The authority in {self.directory} is damaged. Put its files back.") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or self._key.stat().st_mode & 0o077:
            raise StartError(f"The authority's key {self._key} is not fit for use. It must be ECDSA with mode 0600.")
        return certificate, key


def identity_of(certificate: x509.Certificate) -> str:
    """The one URI of the certificate; empty when it has none or several."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    found = names.get_values_for_type(x509.UniformResourceIdentifier)
    return found[0] if len(found) == 1 else ""


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _issued_by(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=not sign, crl_sign=not sign, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and never readable by others for a moment."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
