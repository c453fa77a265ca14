"""The kinds of refusal and failure that operations raise, in the domain's words; nothing of HTTP.

A room's error derives from the kind that fits; `web.problems` maps kinds to problem details and pages.
`code` is stable and machine-readable; the message tells a person what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .words import Words, as_words, table


class DomainError(Exception):
    """Something the person or program can understand; `fields` names the inputs at fault.

    `text` and `fields` are English, for programs and logs; pages show `words` and `field_words`, in their language."""

    code: ClassVar[str] = "error"
    message: ClassVar[str] = "Something went wrong."

    def __init__(self, message: str | None = None, *, fields: Mapping[str, str] | None = None) -> None:
        self.words: Words = as_words(message or type(self).message)
        self.text: str = str(self.words)
        self.field_words: Mapping[str, Words] = table(fields or {})
        self.fields: Mapping[str, str] = {name: str(text) for name, text in self.field_words.items()}
        super().__init__(self.text)


class Invalid(DomainError):
    code = "invalid"
    message = "Some of what was sent is not valid. The fields at fault are named."


class Malformed(DomainError):
    code = "malformed"
    message = "The request could not be read. Check its encoding and syntax."


class TooLarge(DomainError):
    code = "too-large"
    message = "The request is larger than is accepted here."


class NotFound(DomainError):
    code = "not-found"
    message = "There is nothing here under that name, or it is not yours to see."


class Conflict(DomainError):
    code = "conflict"
    message = "That does not fit the present state. Load the page again and look at what changed."


class IdempotencyMismatch(Conflict):
    code = "idempotency-mismatch"
    message = "This idempotency key was used for a different request. Use a new key."


class Refusal(DomainError):
    """The actor may not do this (now)."""

    code = "refused"
    message = "You may not do this."


class NotSignedIn(Refusal):
    code = "not-signed-in"
    message = "Sign in to do this."


class DamagedToken(NotSignedIn):
    """Found by its checksum alone; nothing was looked up."""

    code = "damaged-token"
    message = "This token is damaged: its checksum does not fit. Copy it whole, without spaces or line breaks."


class TokenUnproved(NotSignedIn):
    """A token that is bound to a key came without a good proof of that key (RFC 9449). `error` is the code of the
    standard that says what is wrong; `nonce` what the next proof has to hold."""

    code = "token-unproved"
    message = "This token is bound to a key. Send it as “Authorization: DPoP …” with a proof by that key."

    def __init__(self, message: str | None = None, *, error: str = "invalid_token", nonce: str = "") -> None:
        super().__init__(message)
        self.error = error
        self.nonce = nonce


class SessionUnbound(NotSignedIn):
    """The session goes on; this request alone is refused."""

    code = "session-unbound"
    message = "This browser has not shown lately that the session is its own. Nothing was changed."


class StepUpNeeded(Refusal):
    code = "step-up-needed"
    message = "Confirm that it is you: sign in again to do this."


class SecondFactorNeeded(Refusal):
    code = "second-factor-needed"
    message = "Turn on two-factor sign-in to do this."


class ApprovalNeeded(Refusal):
    """`operation` and `arguments` (JSON) are what to ask the approval of, once perform() has filled them in."""

    code = "approval-needed"
    message = "This needs the approval of other people first."
    operation = ""
    arguments = ""


class TaskNeeded(Refusal):
    code = "task-needed"
    message = "This needs an open task that grants it."


class TooMany(Refusal):
    """`retry_after` is in seconds."""

    code = "too-many"
    message = "Too many tries. Wait a little and try again."

    def __init__(self, message: str | None = None, *, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(DomainError):
    """A part this needs is not answering; nothing was changed; safe to repeat."""

    code = "unavailable"
    message = "This is not available at the moment. Nothing was changed; try again shortly."


class StoreFull(Unavailable):
    code = "store-full"
    message = "The server has no room left to record this. Nothing was changed; the operators are told."


class KeyUnavailable(Unavailable):
    code = "key-unavailable"
    message = "The key service is not answering. Nothing was changed; try again shortly."


class SubjectErased(DomainError):
    code = "erased"
    message = "This person's data was erased."


class KeyPolicyRefused(Refusal):
    code = "key-policy"
    message = "The caller's key policy does not allow this."


class SettingsError(DomainError):
    """Raised at start-up only; the message says which setting and what is accepted."""

    code = "settings"
    message = "A setting is not valid."


class StartError(DomainError):
    """Raised at start-up only: the service cannot start, and the message says what to do."""

    code = "start"
    message = "The service cannot start."
