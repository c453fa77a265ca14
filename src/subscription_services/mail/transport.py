"""Hands a message to the mail server (RFC 5321) under TLS wherever that is offered (RFC 3207)."""

from __future__ import annotations

import ssl
from email.message import EmailMessage

import aiosmtplib

from .errors import LetterDelayed, LetterRefused
from .settings import MailSettings

_OURS_TO_FIX = frozenset({454, 503, 530, 534, 535, 538})
"""Answers that fault our set-up (sign-in, TLS), not the letter: it waits until an operator has put that right."""


async def hand_over(settings: MailSettings, message: EmailMessage, to: str) -> int:
    """Give the message to the server and return its code. Raises LetterRefused (5xx) or LetterDelayed (all else)."""
    must = settings.require_tls or bool(settings.username)
    try:
        client = aiosmtplib.SMTP(
            hostname=settings.host, port=settings.port, timeout=settings.timeout, start_tls=True if must else None,
            tls_context=tls_context(settings), username=settings.username or None, password=settings.password or None,
            local_hostname=settings.sender.rpartition("@")[2],
        )  # fmt: skip
        async with client:
            await client.send_message(message, sender=settings.sender, recipients=[to])
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _judged(error.recipients[0].code) from None
    except aiosmtplib.SMTPConnectResponseError as error:
        raise LetterDelayed(smtp_code=error.code) from None
    except aiosmtplib.SMTPResponseException as error:
        raise _judged(error.code) from None
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        raise LetterDelayed() from error
    return 250


def tls_context(settings: MailSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer. The certificate is verified where TLS is required or certificates were named for it.

    Otherwise it cannot be verified and encryption still beats none (opportunistic TLS, RFC 7435)."""
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not (settings.require_tls or settings.username or settings.ca_file):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _judged(code: int) -> LetterRefused | LetterDelayed:
    if 500 <= code < 600 and code not in _OURS_TO_FIX:
        return LetterRefused(smtp_code=code)
    return LetterDelayed(smtp_code=code)
