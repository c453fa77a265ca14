"""The table of problem types: name, status, what it means and what to do; and which error is which."""

from __future__ import annotations

from dataclasses import dataclass

from subscription_services.kernel import errors


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One problem type, documented at /problems/<name>. `repeat`: the same request may succeed later;
    `solved_by` is the operation that programs call for it."""

    name: str
    status: int
    title: str
    meaning: str
    remedy: str
    repeat: bool = False
    remedy_link: str = "Go on"
    solved_by: str = ""


_ALL = (
    ProblemKind(
        "malformed", 400, "We could not read that", "The request could not be read.",
        "Send valid UTF-8 in the documented syntax: JSON for the API, an urlencoded form for pages.",
    ),
    ProblemKind(
        "not-signed-in", 401, "Please sign in", "The request needs somebody who is signed in.",
        "Sign in, or send a valid token as “Authorization: Bearer …”.", remedy_link="Sign in",
    ),
    ProblemKind(
        "token-unproved", 401, "Show the key of this token",
        "The token is bound to a key, and the request did not prove that it comes from who holds it.",
        "Send the token as “Authorization: DPoP …” with a new proof in the DPoP header (RFC 9449), with the nonce of "
        "the DPoP-Nonce header of this answer. docs/api-tokens.md has an example.", repeat=True,
    ),
    ProblemKind(
        "session-unbound", 401, "One moment: is this still your browser?",
        "The session belongs to one browser, and this request did not show that it comes from there.",
        "Let the browser show its key and repeat the request, or sign in. Programs sign in over the API themselves.",
        repeat=True, remedy_link="Check this browser",
    ),
    ProblemKind(
        "step-up-needed", 401, "Please confirm that it is you", "This needs a sign-in from the last minutes.",
        "Sign in again, then repeat the request (RFC 9470).", remedy_link="Confirm",
    ),
    ProblemKind(
        "refused", 403, "You may not do this", "The account has no permission for this.",
        "Ask an administrator for the role or the token scope that the operation names.",
    ),
    ProblemKind(
        "second-factor-needed", 403, "Turn on two-factor sign-in", "This needs a second factor.",
        "Turn on two-factor sign-in for the account.", remedy_link="Turn it on",
    ),
    ProblemKind(
        "approval-needed", 403, "This needs approval", "Other people must approve exactly this request first.",
        "Ask for the approval (access.ask_approval), then repeat the request unchanged once it is given.", repeat=True,
        remedy_link="Requests for approval", solved_by="access.ask_approval",
    ),
    ProblemKind(
        "task-needed", 403, "This needs an open task", "The permission is granted only for a task.",
        "Ask for a task that covers this operation (access.ask_task), then repeat the request once it is granted.",
        repeat=True, remedy_link="Tasks", solved_by="access.ask_task",
    ),
    ProblemKind(
        "forged", 403, "This form has expired", "The request did not come from a page of ours that is still open.",
        "Load the page again and send the form once more. Programs use a bearer token instead of cookies.",
    ),
    ProblemKind(
        "https-needed", 403, "HTTPS only", "The API answers over HTTPS only.",
        "Use https:// and replace the token: it has travelled in the clear.",
    ),
    ProblemKind(
        "not-found", 404, "There is nothing here", "The page or object does not exist, or is not yours to see.",
        "Check the address.",
    ),
    ProblemKind(
        "method-not-allowed", 405, "That does not work here", "The address does not take this method.",
        "Use one of the methods in the Allow header.",
    ),
    ProblemKind(
        "conflict", 409, "That no longer fits", "The request does not fit the present state.",
        "Load the present state, look at what changed, and decide again.",
    ),
    ProblemKind("erased", 410, "This was erased", "The person's data was erased.", "Nothing: it cannot come back."),
    ProblemKind(
        "too-large", 413, "That is too large", "The request is larger than is accepted here.",
        "Send less: 256 KiB are accepted, unless the documentation of the operation says otherwise.",
    ),
    ProblemKind(
        "unsupported-type", 415, "We do not take this kind of data", "The content type is not accepted here.",
        "Send application/json to the API, application/x-www-form-urlencoded to pages.",
    ),
    ProblemKind(
        "misdirected", 421, "Wrong host", "This server does not answer for the host that the request names.",
        "Use the address that the operators published.",
    ),
    ProblemKind(
        "invalid", 422, "Some of that is not right", "A value is missing or not valid; `errors` names the fields.",
        "Correct the named fields and send the request again with a new idempotency key.",
    ),
    ProblemKind(
        "idempotency-mismatch", 422, "This key was used before",
        "The idempotency key was used for a different request.", "Use a new key for a new request.",
    ),
    ProblemKind(
        "too-many", 429, "Too many tries", "The limit for this is used up.",
        "Wait for the seconds in the Retry-After header.", repeat=True,
    ),
    ProblemKind(
        "headers-too-large", 431, "Too many headers", "The header fields of the request are too many or too long.",
        "Delete the cookies of this site and try again.",
    ),
    ProblemKind(
        "internal", 500, "Something went wrong on our side", "An error that we did not foresee. It is in our log.",
        "Try again later; write to us with the number of the request if it stays.", repeat=True,
    ),
    ProblemKind(
        "unavailable", 503, "Not available at the moment", "A part that this needs does not answer.",
        "Nothing was changed. Repeat the request after the seconds in the Retry-After header.", repeat=True,
    ),
)  # fmt: skip

KINDS: dict[str, ProblemKind] = {kind.name: kind for kind in _ALL}

BY_CLASS: dict[type[Exception], str] = {
    errors.Invalid: "invalid",
    errors.Malformed: "malformed",
    errors.TooLarge: "too-large",
    errors.NotFound: "not-found",
    errors.Conflict: "conflict",
    errors.IdempotencyMismatch: "idempotency-mismatch",
    errors.Refusal: "refused",
    errors.NotSignedIn: "not-signed-in",
    errors.TokenUnproved: "token-unproved",
    errors.SessionUnbound: "session-unbound",
    errors.StepUpNeeded: "step-up-needed",
    errors.SecondFactorNeeded: "second-factor-needed",
    errors.ApprovalNeeded: "approval-needed",
    errors.TaskNeeded: "task-needed",
    errors.TooMany: "too-many",
    errors.Unavailable: "unavailable",
    errors.SubjectErased: "erased",
}
