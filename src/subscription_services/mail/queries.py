"""Letters that wait, failed or were sent, in one list."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select

from subscription_services.jobs import JobRow, unfinished_jobs
from subscription_services.kernel.personal import FreeText

from .letters import JOB_KIND, SendLetter
from .model import LetterState, message


class LetterRow(msgspec.Struct, frozen=True):
    """`state` is waiting, retrying, under_way, failed, sent or not_needed; `code` is the mail server's, 0 for none."""

    id: str
    letter: str
    account: str
    state: str
    attempts: int
    at: datetime
    next_try: datetime | None = None
    code: int = 0
    error: FreeText = ""


class MailQueue(msgspec.Struct, frozen=True):
    """Newest first; the counts are of the whole queue, however much of it is shown."""

    letters: list[LetterRow]
    waiting: int
    failed: int
    sent: int


_STATES = {"waiting": "waiting", "waiting to try again": "retrying", "under way": "under_way", "given up": "failed"}
_SHOWN = {"waiting": {"waiting", "retrying", "under_way"}, "failed": {"failed"}, "sent": {"sent", "not_needed"}}
_MOST_UNFINISHED = 5000


def queue_of(connection: Connection, show: str, limit: int) -> MailQueue:
    """`show` is all, waiting, failed or sent."""
    unfinished = unfinished_jobs(connection, JOB_KIND, SendLetter, _MOST_UNFINISHED)
    recorded = {
        row.id: row
        for row in connection.execute(
            select(message).order_by(message.c.at.desc()).limit(limit + len(unfinished))
            if show != "waiting"
            else select(message).where(message.c.id.in_([job.id for job, _ in unfinished[:limit]]))
        )
    }
    rows = [_from_job(job, letter, recorded.get(job.id)) for job, letter in unfinished]
    known = {row.id for row in rows}
    waiting = sum(row.state != "failed" for row in rows)
    rows += [
        LetterRow(
            id=row.id, letter=row.letter, account=row.account, state=row.state, attempts=row.attempts, at=row.at,
            code=row.code,
        )
        for row in recorded.values()
        if row.id not in known
    ]  # fmt: skip
    wanted = [row for row in rows if show == "all" or row.state in _SHOWN[show]]
    wanted.sort(key=lambda row: (row.at, row.id), reverse=True)
    return MailQueue(wanted[:limit], waiting, len(known) - waiting, _sent(connection))


def _from_job(job: JobRow, letter: SendLetter, recorded: object | None) -> LetterRow:
    state = _STATES[job.state]
    return LetterRow(
        id=job.id, letter=letter.letter, account=letter.account, state=state, attempts=job.attempts,
        at=job.created_at, next_try=job.run_at if state in ("waiting", "retrying") else None,
        code=getattr(recorded, "code", 0), error=job.error,
    )  # fmt: skip


def _sent(connection: Connection) -> int:
    statement = select(func.count()).select_from(message).where(message.c.state == LetterState.SENT.value)
    return int(connection.execute(statement).scalar_one())
