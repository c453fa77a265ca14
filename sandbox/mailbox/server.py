"""Puts the mailbox together and runs it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette

from sandbox.loopback import LoopbackHostsOnly
from sandbox.mailbox.letters import Box
from sandbox.mailbox.smtp import MailBehaviour, receiving
from sandbox.mailbox.web import mailbox_routes
from sandbox.serving import Listen, in_thread, listening


@dataclass(frozen=True)
class MailboxSettings:
    """Where to listen, how many messages are kept, and a certificate to offer STARTTLS with."""

    host: str = "127.0.0.1"
    smtp_port: int = 0
    http_port: int = 0
    keep: int = 500
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Addresses:
    """Where the mailbox is reached."""

    smtp_host: str
    smtp_port: int
    url: str


async def run(settings: MailboxSettings, announce: Callable[[Addresses], None], stop: asyncio.Event) -> None:
    """Receive and show mail until `stop`; announces the addresses once both sides answer."""
    box, behaviour = Box(settings.keep), MailBehaviour()
    app = LoopbackHostsOnly(Starlette(routes=mailbox_routes(box, behaviour)))
    smtp = Listen(settings.host, settings.smtp_port, settings.cert, settings.key)
    async with (
        receiving(box, behaviour, smtp) as (host, port),
        listening(app, Listen(settings.host, settings.http_port)) as url,
    ):
        announce(Addresses(host, port, url))
        await stop.wait()


def mailbox(settings: MailboxSettings) -> AbstractContextManager[Addresses]:
    """The mailbox in a thread of this process, for tests."""

    async def main(announce: Callable[[Addresses], None], stop: asyncio.Event) -> None:
        await run(settings, announce, stop)

    return in_thread(main)
