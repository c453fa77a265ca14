"""What can go wrong with a letter. None of these texts holds an address or a word of a letter."""

from __future__ import annotations

from subscription_services.jobs import GiveUp
from subscription_services.kernel.errors import Conflict, Unavailable


class LetterRefused(GiveUp):
    """The mail server refuses this letter for good; `smtp_code` is its answer (RFC 5321), 0 when it never got there."""

    code = "letter-refused"
    message = "The mail server refuses this letter for good."

    def __init__(self, message: str | None = None, *, smtp_code: int = 0) -> None:
        super().__init__(message)
        self.smtp_code = smtp_code


class LetterDelayed(Unavailable):
    """The letter could not be handed over now; `smtp_code` is 0 when there was no answer."""

    code = "letter-delayed"
    message = "The mail server does not take letters at the moment. They wait and are tried again."

    def __init__(self, message: str | None = None, *, smtp_code: int = 0) -> None:
        super().__init__(message)
        self.smtp_code = smtp_code


class UnknownLetter(GiveUp):
    code = "letter-unknown"
    message = "No room declares a letter of this name."


class UnfitLetter(GiveUp):
    code = "letter-unfit"
    message = "The letter's address or subject cannot stand in a message."


class NotGivenUp(Conflict):
    code = "letter-not-given-up"
    message = "This letter was not given up: it was sent, or it is still being tried."
