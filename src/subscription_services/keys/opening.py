"""Where this process gets its keys from: a key service over the network, the one that runs here, or itself."""

from __future__ import annotations

import resource
import signal
import threading
from pathlib import Path

import structlog

from subscription_services.kernel.clock import Clock, Random, monotonic
from subscription_services.kernel.errors import StartError

from .allow import AllowFile
from .apart import OPERATOR, Apart
from .embedded import open_embedded, open_local
from .mutual_tls import Contexts, identity_files, service_context
from .remote import connect, parse_address
from .sealing import KeyRing
from .service_listener import KeyListener
from .settings import KeySettings

log = structlog.get_logger("keys.opening")


def open_ring(data: Path, settings: KeySettings, clock: Clock, random: Random) -> KeyRing:
    """The keys as the settings say: the service they name, else the one that `subs run` keeps here, else in process.

    Raises StartError, SettingsError, KeyUnavailable, StoreFull.
    """
    if settings.service:
        return _remote(settings, random)
    apart = Apart(data, settings)
    if address := apart.running():
        return _remote(apart.client_settings(OPERATOR, address), random)
    return open_embedded(data / "keys", settings, clock, random)


def _remote(settings: KeySettings, random: Random) -> KeyRing:
    service = connect(settings)
    try:
        return KeyRing(service, settings, random, monotonic)
    except BaseException:
        service.close()
        raise


def serve_keys(data: Path, settings: KeySettings, clock: Clock, random: Random) -> None:
    """Be the key service until SIGTERM or SIGINT: open the root, listen, answer.

    Raises StartError when a certificate, the authority or the allow list is missing or unfit: it never listens without
    them. An allow list without clients is fit, and refuses everybody.
    """
    if settings.service:
        raise StartError("SUBS_KEYS_SERVICE is set: keys are kept elsewhere. A key service itself must not have it.")
    # what is in this process's memory must not be written to a disk when it fails
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    contexts = Contexts(identity_files(settings), service_context)
    if not settings.allow:
        raise StartError("SUBS_KEYS_ALLOW is not set: it names the file of the clients that the key service answers.")
    allowed = AllowFile(Path(settings.allow), monotonic)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    service = open_local(data / "keys", settings, clock, random)
    try:
        listener = KeyListener(
            service, contexts, allowed.current, clock, parse_address(settings.listen, "SUBS_KEYS_LISTEN"),
            settings.clients,
        )  # fmt: skip
        listener.start()
        log.info("keys.listening", port=listener.port, clients=len(allowed.current()))
        stop.wait()
        listener.stop()
    finally:
        service.close()
