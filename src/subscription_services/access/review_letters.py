"""Letters about access reviews: to those who decide, and to those whose role or program it is about."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import as_words, words
from subscription_services.mail import Letter, LetterKind, SiteFacts, template

from . import queries
from .letters import HELLO, LETTERS, Compose, addressee, moment
from .operations.approvals import SECURITY_CONTACT
from .review_policy import SCOPE_WORDS, Scope
from .reviewing import review_row


def _letter(key: str, subject: str, text: str) -> Compose:
    """A letter about the review, grant or program that `values[key]` names. Texts may use {what}, {until}, {link}."""
    template(subject)
    template(text)

    async def compose(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
        keys = kernel.keys.for_caller("access")

        def read(connection: Connection) -> tuple[tuple[str, str] | None, dict[str, str], str] | None:
            tx = ReadTransaction(connection, keys)
            try:
                facts, path = _about(tx, key, values[key])
            except NotFound:
                return None
            return addressee(tx, site, account), facts, path if account != SECURITY_CONTACT else "/team/people"

        found = await kernel.store.read(read)
        if found is None:
            return None
        to, facts, path = found
        if to is None:
            return None
        address, name = to
        body = f"{site.say(HELLO, name=name)}\n\n{site.say(text, **facts, link=site.public_url + path)}"
        return Letter(address, site.say(subject, **facts), f"{body}\n\n{site.product}\n{site.contact}\n")

    return compose


def _about(tx: ReadTransaction, key: str, identifier: str) -> tuple[dict[str, str], str]:
    """What the letter is about and until when, and the page. Raises NotFound."""
    if key == "review":
        row = review_row(tx, identifier)
        return {"what": SCOPE_WORDS[Scope(row.scope)], "until": moment(row.due_at)}, f"/team/reviews/{identifier}"
    if key == "grant":
        held = queries.one_grant(tx, identifier)
        role = as_words(held.role.value)
        return {"what": words("the role %(role)s", role=role), "until": moment(held.ends_at)}, "/account"
    program = queries.one_service_account(tx, identifier)
    facts = {"what": program.name, "until": moment(program.confirmed_until)}
    return facts, f"/team/service-accounts/{identifier}"


def _kind(name: str, subject: str, text: str) -> LetterKind:
    key = "review" if "review" in name else "program" if "program" in name else "grant"
    return LetterKind(name, _letter(key, subject, text))


ALL_LETTERS: tuple[LetterKind, ...] = (
    *LETTERS,
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
