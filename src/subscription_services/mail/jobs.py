"""The job that sends a letter: compose, hand over, record."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from subscription_services.jobs import GiveUp, JobKind, taken_job
from subscription_services.kernel.actors import System
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import Kernel, perform

from .compose import compose
from .errors import LetterDelayed, LetterRefused, UnknownLetter
from .letters import JOB_KIND, LetterKind, SendLetter, SiteFacts, by_name
from .operations import RecordLetter, record_failed, record_not_needed, record_sent
from .settings import MailSettings
from .transport import hand_over

ACTOR = System("mail.send")


def kinds(settings: MailSettings, letters: Iterable[LetterKind], site: SiteFacts) -> list[JobKind]:
    """The room's kinds of jobs, for the letters that the rooms declare. Raises ValueError for two of one name."""
    known = by_name(letters)

    async def handle(kernel: Kernel, job: SendLetter) -> None:
        try:
            sent = await _send(kernel, known, settings, site, job)
        except Exception as error:
            code = error.smtp_code if isinstance(error, LetterRefused | LetterDelayed) else 0
            if taken_job().last or isinstance(error, GiveUp):
                await _record(kernel, record_failed, job, code)
            raise
        await _record(kernel, record_sent if sent else record_not_needed, job, sent)

    return [
        JobKind(
            JOB_KIND,
            SendLetter,
            handle,
            attempts=14,
            first_pause=timedelta(seconds=5),
            longest_pause=timedelta(hours=4),
        )
    ]


async def _send(
    kernel: Kernel, known: dict[str, LetterKind], settings: MailSettings, site: SiteFacts, job: SendLetter
) -> int:
    """The mail server's code, or 0 when there was no longer a reason to write."""
    kind = known.get(job.letter)
    if kind is None:
        raise UnknownLetter()
    letter = await kind.compose(kernel, site, job.account, job.values)
    if letter is None:
        return 0
    message = compose(letter, product=site.product, sender=settings.sender, job_id=taken_job().id, now=kernel.clock())
    return await hand_over(settings, message, letter.to)


async def _record(kernel: Kernel, operation: Operation, job: SendLetter, code: int) -> None:
    taken = taken_job()
    await perform(kernel, operation, ACTOR, RecordLetter(taken.id, job.letter, job.account, taken.attempt, code))
