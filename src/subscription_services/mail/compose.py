"""From a letter to a message (RFC 5322) that no text in it can change the headers of. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from .errors import UnfitLetter
from .letters import Letter

POLICY = SMTP.clone(cte_type="7bit", raise_on_defect=True)
LONGEST_SUBJECT = 200
_ADDRESS = re.compile(r"[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f-\x9f]{1,64}@[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f-\x9f]{1,253}")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def message_id(job_id: str, sender: str) -> str:
    """The same for every try of one job, so that a receiver can tell a letter that was sent twice."""
    return f"<{job_id}@{sender.rpartition('@')[2]}>"


def compose(letter: Letter, *, product: str, sender: str, job_id: str, now: datetime) -> EmailMessage:
    """Text UTF-8 in 7-bit encoding, dated `now`, marked as automatic (RFC 3834). Raises UnfitLetter."""
    out = EmailMessage(policy=POLICY)
    try:
        out["From"] = Address(one_line(product), addr_spec=address(sender))
        out["To"] = Address(addr_spec=address(letter.to))
        out["Subject"] = one_line(letter.subject)
    except (ValueError, IndexError) as error:
        raise UnfitLetter() from error
    out["Date"] = now
    out["Message-ID"] = message_id(job_id, sender)
    out["Auto-Submitted"] = "auto-generated"
    out.set_content(_CONTROL.sub("", letter.text.replace("\r\n", "\n").replace("\r", "\n")), charset="utf-8")
    return out


def address(text: str) -> str:
    """One plain address, without comment, quoting or list. Raises UnfitLetter."""
    if not _ADDRESS.fullmatch(text) or ".." in text or text.endswith("."):
        raise UnfitLetter()
    return text


def one_line(text: str) -> str:
    """Text fit for a header: line breaks, control and direction characters become spaces."""
    # the email package would decode an encoded word (RFC 2047) in the text, line breaks in it included
    line = _UNPRINTABLE.sub(" ", text).replace("=?", "= ?").strip()[:LONGEST_SUBJECT]
    if not line:
        raise UnfitLetter()
    return line
