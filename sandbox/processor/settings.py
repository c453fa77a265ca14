"""What one run of the processor is told."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.loopback import check_url, origin_of
from sandbox.serving import Listen

API_VERSION = "2026-10-28.endive"


class WrongSetting(ValueError):
    """A setting that the processor refuses to start with."""


@dataclass(frozen=True)
class Settings:
    """All settings; WrongSetting or NotLoopback for those that it refuses.

    `embedders` are the origins that may frame the card form and be returned to. `public_url` is where browsers reach
    the processor when that is not the address it listens on (a host name of its own). With `webhook_url` and
    `webhook_secret` one webhook endpoint for every event exists from the start. `retry_seconds` is the first pause
    after a failed delivery; each further one is twice as long, up to a minute.
    """

    listen: Listen = field(default_factory=Listen)
    data: str = ":memory:"
    secret_key: str = "sk_test_sandbox"  # noqa: S105  a test key by its prefix
    publishable_key: str = "pk_test_sandbox"
    embedders: tuple[str, ...] = ()
    public_url: str | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None
    ca: Path | None = None
    retry_seconds: float = 1.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"sk_test_\w+", self.secret_key):
            raise WrongSetting("the secret key must begin with sk_test_: a sandbox takes no live key")
        if not re.fullmatch(r"pk_test_\w+", self.publishable_key):
            raise WrongSetting("the publishable key must begin with pk_test_")
        for url in (*self.embedders, self.public_url, self.webhook_url):
            if url is not None:
                check_url(url)
        for origin in self.embedders:
            if origin_of(origin) != origin:
                raise WrongSetting(f"an embedder is an origin (scheme://host:port), not {origin!r}")
        if (self.webhook_url is None) != (not self.webhook_secret):
            raise WrongSetting("a webhook URL and its signing secret come together")
        if (self.listen.cert is None) != (self.listen.key is None):
            raise WrongSetting("a certificate and its key come together")
