"""kms.central: the application asks a key service over mutual TLS, and holds neither the root nor the key store."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from pathlib import Path

from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.kernel.settings import HouseSettings
from subscription_services.keys.remote import RemoteKeyService, parse_address
from subscription_services.keys.sealing import KeyRing
from subscription_services.keys.wire import METHODS, write_request

SECONDS = 5.0
KEY_SERVICE = "keys serve"
"""How the command line of the key service ends."""


async def kept_apart(doors: Doors) -> Finding:
    """Broken when keys are in this process, a stranger is answered, or the application has the key store open."""
    ring = doors.kernel.keys
    if not isinstance(ring, KeyRing) or not isinstance(ring.service, RemoteKeyService):
        return Finding(
            Verdict.BROKEN,
            "There is no key service of its own here: the application's own processes hold the root key.",
            {"keys": "in the application's processes"},
        )
    return await asyncio.to_thread(_look, ring, ring.service, doors.settings.of(HouseSettings).data_path)


def _look(ring: KeyRing, service: RemoteKeyService, data: Path) -> Finding:
    answered = [name for name in ("TLSv1_3", "TLSv1_2") if _answers(service, name)]
    holders = holding(data / "keys")
    others = [line for line in holders if not line.endswith(KEY_SERVICE)]
    evidence: dict[str, str | int] = {
        "keys": "in the key service", "strangers_answered": len(answered),
        "processes_with_the_key_store": len(holders), "of_the_application": len(others),
    }  # fmt: skip
    if answered:
        return Finding(Verdict.BROKEN, "The key service answered somebody without a certificate.", evidence)
    if others:
        return Finding(Verdict.BROKEN, "A process of the application has the key store open.", evidence)
    # asked last: what was refused above was refused by a service that is there
    ring.service.erased_since(ring.service.generation())
    return Finding(
        Verdict.KEPT,
        "The application asks the key service over mutual TLS and does not hold the root key; a connection without a "
        "certificate was refused.",
        evidence,
    )


def _answers(service: RemoteKeyService, version: str) -> bool:
    """Whether a stranger gets a single byte. Raises OSError when nothing listens: then nothing was tried."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(service.authority)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with socket.create_connection(parse_address(service.address, "SUBS_KEYS_SERVICE"), SECONDS) as plain:
        try:
            with context.wrap_socket(plain) as stranger:
                stranger.sendall(write_request(1, "generation", METHODS["generation"].bind((), {})))
                return bool(stranger.recv(1))
        except OSError:
            return False


def holding(directory: Path) -> list[str]:
    """Command lines of the processes that have a file of the directory open, as far as this user may look."""
    found = []
    inside = f"{directory.resolve()}{os.sep}"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(entry.readlink()) for entry in (process / "fd").iterdir()]
            if any(path.startswith(inside) for path in opened):
                found.append((process / "cmdline").read_text().replace("\0", " ").strip())
        except OSError:
            continue
    return found
