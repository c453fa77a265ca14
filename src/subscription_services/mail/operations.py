"""What is recorded of letters, and what the team may see and do about them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from sqlalchemy import select

from subscription_services.jobs import make_due
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.events import Detail
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from .errors import NotGivenUp
from .letters import JOB_KIND
from .model import LetterState, message
from .queries import MailQueue, queue_of

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=48)]
LetterName = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
ONLY_JOBS = SystemOnly("the job that sends letters records what became of them")


class RecordLetter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    letter: LetterName
    account: Id
    attempts: Annotated[int, msgspec.Meta(ge=1)]
    code: Annotated[int, msgspec.Meta(ge=0, le=599)] = 0


class LetterRecord(msgspec.Struct, frozen=True):
    id: str
    letter: str
    state: str


class ListLetters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    show: Literal["all", "waiting", "failed", "sent"] = "all"
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class RetryLetter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


@operation("mail.record_sent", by=[ONLY_JOBS])
def record_sent(tx: Transaction, ctx: Context, request: RecordLetter) -> Change[LetterRecord]:
    """Record that the mail server took a letter."""
    return _record(tx, ctx, request, LetterState.SENT)


@operation("mail.record_failed", by=[ONLY_JOBS])
def record_failed(tx: Transaction, ctx: Context, request: RecordLetter) -> Change[LetterRecord]:
    """Record that a letter was given up."""
    return _record(tx, ctx, request, LetterState.FAILED)


@operation("mail.record_not_needed", by=[ONLY_JOBS])
def record_not_needed(tx: Transaction, ctx: Context, request: RecordLetter) -> Change[LetterRecord]:
    """Record that there was no longer a reason to write."""
    return _record(tx, ctx, request, LetterState.NOT_NEEDED)


@operation("mail.queue", by=[Role.OPERATIONS, Role.SUPPORT, Role.ADMINISTRATOR])
def queue(tx: ReadTransaction, ctx: Context, request: ListLetters) -> Seen[MailQueue]:
    """List letters that wait, failed or were sent: kind, account and state, never text or address."""
    return Seen(queue_of(tx.connection, request.show, request.limit), details={"show": request.show})


@operation("mail.retry", by=[Role.OPERATIONS, Role.ADMINISTRATOR])
def retry(tx: Transaction, ctx: Context, request: RetryLetter) -> Change[LetterRecord]:
    """Make a letter that was given up due again."""
    row = tx.connection.execute(select(message).where(message.c.id == request.id)).one_or_none()
    if not make_due(tx.connection, JOB_KIND, request.id, ctx.now):
        raise NotGivenUp()
    letter, account = (row.letter, row.account) if row is not None else ("", "")
    if row is not None:
        tx.connection.execute(message.delete().where(message.c.id == request.id))
    record = LetterRecord(request.id, letter, "waiting")
    return Change(None, record, object=request.id, subject=account, details={"letter": letter})


def _record(tx: Transaction, ctx: Context, request: RecordLetter, state: LetterState) -> Change[LetterRecord]:
    values = {
        "letter": request.letter, "account": request.account, "state": state.value, "at": ctx.now,
        "sent_at": ctx.now if state is LetterState.SENT else None, "attempts": request.attempts, "code": request.code,
    }  # fmt: skip
    updated = tx.connection.execute(message.update().where(message.c.id == request.id).values(values))
    if not updated.rowcount:
        tx.connection.execute(message.insert(), {"id": request.id, **values})
    record = LetterRecord(request.id, request.letter, state.value)
    details: dict[str, Detail] = {"letter": request.letter, "attempts": request.attempts, "code": request.code}
    return Change(None, record, object=request.id, subject=request.account, details=details)
