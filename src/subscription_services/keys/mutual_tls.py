"""TLS 1.3 with certificates on both sides: the contexts of the key service and of its clients.

Contexts are made of the files as they are when a connection begins, so that a renewed certificate needs no restart.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography import x509

from subscription_services.kernel.errors import StartError

from .certificates import Identity, identity_of
from .settings import KeySettings


class Contexts:
    """Hands out a TLS context, made anew when one of its files has changed."""

    def __init__(self, files: Identity, make: Callable[[Identity], ssl.SSLContext]) -> None:
        """Raises StartError when a file is missing or unfit."""
        self._files = files
        self._make = make
        self._lock = threading.Lock()
        self._stamp = _stamp(files)
        self._context = make(files)

    def current(self) -> ssl.SSLContext:
        """The context of the files as they are; the last good one while they are being replaced."""
        with self._lock:
            try:
                stamp = _stamp(self._files)
                if stamp != self._stamp:
                    self._context = self._make(self._files)
                    self._stamp = stamp
            except StartError:
                # certificate and key are replaced one after the other; the next connection looks again
                pass
            return self._context


def identity_files(settings: KeySettings) -> Identity:
    """The files that the settings name. Raises StartError for the first that is missing."""
    found: list[Path] = []
    for name in ("certificate", "certificate_key", "authority"):
        path = getattr(settings, name)
        variable = f"SUBS_KEYS_{name}".upper()
        if not path:
            raise StartError(
                f"{variable} is not set: the key service and its clients prove who they are to each other."
            )
        if not Path(path).is_file():
            raise StartError(f"{variable} names {path}, which is not there.")
        found.append(Path(path))
    return Identity(*found)


def service_context(files: Identity) -> ssl.SSLContext:
    """The key service's side: every client needs a certificate of the authority. Raises StartError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # a resumed session would not be asked for its certificate again
    context.num_tickets = 0
    return _filled(context, files)


def client_context(files: Identity) -> ssl.SSLContext:
    """A client's side: only the authority is believed; `check_peer` then looks at who answered. Raises StartError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # hosts move, identities stay: the URI in the certificate is compared instead of a host name
    context.check_hostname = False
    return _filled(context, files)


def peer(connection: ssl.SSLSocket) -> tuple[str, datetime]:
    """Who is at the other end by its verified certificate (empty without a single URI), and until when."""
    encoded = connection.getpeercert(binary_form=True)
    if encoded is None:
        raise ssl.SSLError("the other end has no certificate")
    certificate = x509.load_der_x509_certificate(encoded)
    return identity_of(certificate), certificate.not_valid_after_utc


def _filled(context: ssl.SSLContext, files: Identity) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(files.authority)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"The authority {files.authority} cannot be used: {_why(error)}.") from None
    if not context.get_ca_certs():
        raise StartError(f"The authority {files.authority} holds no certificate of an authority.")
    try:
        if files.key.stat().st_mode & 0o077:
            raise StartError(f"The key {files.key} can be read by others. Run: chmod 600 {files.key}.")
        # without a callback a locked key would ask at the terminal for its passphrase
        context.load_cert_chain(files.certificate, files.key, password="")
    except (OSError, ssl.SSLError) as error:
        raise StartError(
            f"The certificate {files.certificate} with {files.key} cannot be used: {_why(error)}."
        ) from None
    return context


def _why(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__


def _stamp(files: Identity) -> tuple[tuple[int, int], ...]:
    try:
        found = [path.stat() for path in (files.certificate, files.key, files.authority)]
    except OSError as error:
        raise StartError(f"{error.filename} cannot be read: {error.strerror}.") from None
    return tuple((status.st_mtime_ns, status.st_ino) for status in found)
