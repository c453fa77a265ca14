"""The SMTP side (RFC 5321, STARTTLS of RFC 3207)."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.loopback import check_listen_address, clock
from sandbox.mailbox.letters import Box
from sandbox.serving import Listen

_LARGEST = 10_000_000
_REFUSALS = {
    451: "451 4.3.0 The mailbox was asked to be unavailable",
    550: "550 5.1.1 The mailbox was asked to refuse",
}


class MailBehaviour(msgspec.Struct, forbid_unknown_fields=True):
    """The next `fail_next` messages are refused: 451 for now, 550 for good."""

    fail_next: int = 0
    code: Literal[451, 550] = 451


class Receiver:
    """aiosmtpd's handler: puts messages into the box."""

    def __init__(self, box: Box, behaviour: MailBehaviour) -> None:
        self._box = box
        self._behaviour = behaviour

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the message, or refuse it when asked to."""
        if self._behaviour.fail_next > 0:
            self._behaviour.fail_next -= 1
            return _REFUSALS[self._behaviour.code]
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        recipients = tuple(str(address) for address in envelope.rcpt_tos)
        self._box.receive(raw, envelope.mail_from or "", recipients, clock(), encrypted=session.ssl is not None)
        return "250 2.0.0 Kept in memory"


@asynccontextmanager
async def receiving(box: Box, behaviour: MailBehaviour, listen: Listen) -> AsyncIterator[tuple[str, int]]:
    """Accept mail while this is open; gives host and port. Raises NotLoopback, OSError for a port in use."""
    host = check_listen_address(listen.host)
    context = None
    if listen.cert is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(listen.cert, listen.key)
    receiver = Receiver(box, behaviour)

    def session() -> SMTP:
        return SMTP(
            receiver,
            data_size_limit=_LARGEST,
            enable_SMTPUTF8=True,
            hostname="mailbox.localhost",
            ident="sandbox mailbox",
            tls_context=context,
        )

    server = await asyncio.get_running_loop().create_server(session, host, listen.port)
    try:
        yield host, int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
