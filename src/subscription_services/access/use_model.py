"""Tables of what was used and when, as the log tells it, and of notices that something unused will end."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, String, Table

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata

DAY = 24 * 3600 * 1_000_000  # microseconds, as Instant stores them
NOTICE_DAYS, REMINDER_DAYS = 14, 3

use = Table(
    "access_use",
    metadata,
    Column("actor", String(48), primary_key=True),
    Column("credential", String(48), primary_key=True),  # the token of a program; empty for people
    Column("operation", String(120), primary_key=True),
    Column("last_used_at", Instant, nullable=False),
)

cursor = Table(
    "access_use_cursor",
    metadata,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("next_index", BigInteger, nullable=False),  # the first entry of the log that was not read yet
    CheckConstraint("place = 1", name="one_row"),
    CheckConstraint("next_index >= 0", name="from_zero"),
)

# Somebody was told that what they hold will end. However the clock jumps, it never ends sooner after its notices.
disuse = Table(
    "access_disuse",
    metadata,
    Column("holder", String(48), primary_key=True),  # acc_, svc_ or tok_
    Column("last_used_at", Instant, nullable=False),  # as it was when it was noticed
    Column("noticed_at", Instant, nullable=False),
    Column("reminded_at", Instant),
    Column("ends_at", Instant, nullable=False),
    CheckConstraint(f"ends_at >= noticed_at + {NOTICE_DAYS * DAY}", name="noticed_in_time"),
    CheckConstraint("reminded_at >= noticed_at", name="reminded_later"),
    CheckConstraint(f"ends_at >= reminded_at + {REMINDER_DAYS * DAY}", name="reminded_in_time"),
)
