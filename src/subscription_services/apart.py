"""The key service as a part of `subs run`: its certificates, its port, and what the other parts are told."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from subscription_services import app
from subscription_services.kernel.clock import monotonic, system_clock
from subscription_services.kernel.errors import KeyUnavailable, StartError
from subscription_services.kernel.settings import HouseSettings, Settings
from subscription_services.keys import KeySettings
from subscription_services.keys.apart import OPERATOR, WEB, WORKER, Apart
from subscription_services.keys.certificates import SERVER
from subscription_services.keys.remote import connect

KEYS = "keys serve"
"""The part's command."""
READY_SECONDS = 60
RENEW_SECONDS = 3600
log = structlog.get_logger("apart")
_CLIENTS = {"serve": WEB, "work": WORKER}


@dataclass(slots=True)
class KeysApart:
    """One run's key service."""

    apart: Apart
    address: str
    _renewed: float = field(default_factory=monotonic)

    def variables(self, part: str) -> dict[str, str]:
        """The settings that a part gets beside the operator's: enough to be the key service, or to reach it."""
        if part == KEYS:
            return self.apart.variables(SERVER, self.address)
        return self.apart.variables(_CLIENTS[part], self.address) if part in _CLIENTS else {}

    def settings_for(self, environment: Mapping[str, str]) -> Settings:
        """The settings with which this process itself prepares the installation: as an operator's command."""
        return app.read_settings({**environment, **self.apart.variables(OPERATOR, self.address)})

    def wait_until_ready(self, alive: Callable[[], bool]) -> None:
        """Until the service answers, or `alive` says to wait no more. Raises StartError."""
        limit = monotonic() + READY_SECONDS
        while alive():
            try:
                connect(self.apart.client_settings(OPERATOR, self.address)).close()
            except KeyUnavailable as error:
                if monotonic() >= limit:
                    raise StartError(
                        f"The key service was not ready within {READY_SECONDS} seconds. {error.text}"
                    ) from None
            else:
                self.apart.announce(self.address)
                return

    def renew_certificates(self) -> None:
        """Hourly: renew what ends soon. The processes read the files again when they next connect."""
        if monotonic() - self._renewed >= RENEW_SECONDS:
            self._renewed = monotonic()
            try:
                self.apart.prepare(system_clock())
            except (StartError, OSError) as error:
                # certificates are good for weeks more; the log says it each hour
                log.error("certificates.not_renewed", exc_info=error)

    def withdraw(self) -> None:
        """The service has stopped."""
        self.apart.withdraw()


def keys_apart(settings: Settings) -> KeysApart | None:
    """What this run needs for a key service of its own; None where keys are kept in process or elsewhere.

    Raises StartError.
    """
    keys = settings.of(KeySettings)
    if keys.service or not keys.apart:
        return None
    apart = Apart(settings.of(HouseSettings).data_path, keys)
    apart.prepare(system_clock())
    # chosen once: a restarted key service must be found where it was
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return KeysApart(apart, f"127.0.0.1:{port}")
