"""What became of each letter: never its text, never an address."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata


class LetterState(StrEnum):
    SENT = "sent"
    FAILED = "failed"
    NOT_NEEDED = "not_needed"


message = Table(
    "mail_message",
    metadata,
    Column("id", String(48), primary_key=True),  # the job's id, which the Message-ID is made from
    Column("letter", String(80), nullable=False),
    Column("account", String(48), nullable=False),
    Column("state", String(20), nullable=False),
    Column("at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("code", Integer, nullable=False),  # last answer of the mail server (RFC 5321), 0 for none
    CheckConstraint("state IN ('sent', 'failed', 'not_needed')", name="state"),
    CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent_has_time"),
    CheckConstraint("attempts >= 1", name="attempts"),
)
Index(None, message.c.state, message.c.at)
