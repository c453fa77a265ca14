"""Letters about access reviews: to those who decide, and to those whose role or program it is about."""

from __future__ import annotations

from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import as_words, words
from subscription_services.mail import LetterKind

from . import queries
from .letter_parts import SECURITY_CONTACT, Facts, Occasion, letter, moment
from .review_policy import SCOPE_WORDS, Scope
from .reviewing import review_row


def _about(key: str) -> Facts:
    """About the review, grant or program that `values[key]` names: {what}, {until}, {link}."""

    def facts(tx: ReadTransaction, occasion: Occasion) -> dict[str, str] | None:
        try:
            what, until, path = _found(tx, key, occasion.values[key])
        except NotFound:
            return None
        link = occasion.link("/team/people" if occasion.account == SECURITY_CONTACT else path)
        return {"what": what, "until": until, "link": link}

    return facts


def _found(tx: ReadTransaction, key: str, identifier: str) -> tuple[str, str, str]:
    """What the letter is about and until when, and the page. Raises NotFound."""
    if key == "review":
        row = review_row(tx, identifier)
        return SCOPE_WORDS[Scope(row.scope)], moment(row.due_at), f"/team/reviews/{identifier}"
    if key == "grant":
        held = queries.one_grant(tx, identifier)
        return words("the role %(role)s", role=as_words(held.role.value)), moment(held.ends_at), "/account"
    program = queries.one_service_account(tx, identifier)
    return program.name, moment(program.confirmed_until), f"/team/service-accounts/{identifier}"


def _kind(name: str, subject: str, text: str) -> LetterKind:
    key = "review" if "review" in name else "program" if "program" in name else "grant"
    return letter(name, subject, text, _about(key))


REVIEW_LETTERS: tuple[LetterKind, ...] = (
    _kind(
        "access.review_opened", "An access review is open until {until}",
        "it is time to look at who can do what:\n\n{what}\n\nFor each there is what it was used for. Keep what is "
        "needed and revoke the rest, one by one. What nobody has decided by {until} lapses.\n\n{link}",
    ),
    _kind(
        "access.review_due", "What is not decided lapses: access review until {until}",
        "an access review still waits for decisions:\n\n{what}\n\nWhat nobody has decided by {until} lapses:\n\n{link}",
    ),
    _kind(
        "access.review_void", "An access review was void and begins again",
        "among those that an access review asks about are some that do not exist. One of them was kept, so the review "
        "showed nothing, and what was kept in it is not:\n\n{what}\n\nA new one has begun. Please read each one, and "
        "decide until {until}:\n\n{link}",
    ),
    _kind(
        "access.grant_lapses", "Your role lapses unless a review keeps it",
        "nobody has confirmed yet that you still need {what}. It lapses at {until}. If you need it, ask an "
        "administrator or security to decide about it in the access review.",
    ),
    _kind(
        "access.program_lapses", "A program of yours lapses unless a review keeps it",
        "nobody has confirmed yet that this service account is still needed:\n\n{what}\n\nIt lapses at {until}, with "
        "its tokens. If it is needed, ask an administrator or security to decide about it in the access review.",
    ),
    _kind(
        "access.grant_lapsed", "Your role has lapsed",
        "nobody confirmed in an access review that you still need {what}, so it ended at {until}. An administrator can "
        "give it to you again.",
    ),
    _kind(
        "access.program_lapsed", "A program of yours has lapsed",
        "nobody confirmed in an access review that this service account is still needed, so it ended at {until}, with "
        "its tokens:\n\n{what}\n\n{link}",
    ),
    _kind(
        "access.grant_revoked", "Your role was revoked in an access review",
        "an access review ended this at once: {what}. If you still need it, ask an administrator.",
    ),
    _kind(
        "access.program_revoked", "A program of yours was revoked in an access review",
        "an access review ended this service account and its tokens at once:\n\n{what}\n\n{link}",
    ),
    _kind(
        "access.last_administrator", "Nobody else can confirm the only administrator",
        "the role of the only administrator ends at {until} unless somebody else confirms it in an access review, and "
        "there is nobody who could. It counts beyond that, since nobody could manage the team otherwise.\n\nInvite a "
        "second administrator before. If they come later, the role is over from then on, and they have to give it "
        "anew. Who is on the team:\n\n{link}",
    ),
)  # fmt: skip
