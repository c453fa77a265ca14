"""The letters of this room. Links are minted when a letter is sent; the token stands behind the hash of the link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from subscription_services.kernel.actors import System
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.mail import Letter, LetterKind, SiteFacts
from subscription_services.storage import open_row

from .model import Purpose, State, account
from .operations.sign_up import IssueLink, issue_link
from .queries import account_by_id

ACTOR = System("identity.letters")
Recipient = tuple[str, str, str]


async def _recipient(kernel: Kernel, identifier: str) -> Recipient | None:
    """Address, name and state of an account, closed ones included."""
    keys = kernel.keys.for_caller("identity")

    def read(connection: object) -> Recipient | None:
        tx = ReadTransaction(connection, keys)  # type: ignore[arg-type]  # the store hands its own connection
        row = account_by_id(tx, identifier)
        if row is None or row.probe:
            return None
        opened = open_row(tx, account, row)
        return opened["email"], opened["name"], opened["state"]

    return await kernel.store.read(read)


async def _verify(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
    found = await _recipient(kernel, account)
    if found is None or found[2] != State.UNVERIFIED:
        return None
    made = await perform(kernel, issue_link, ACTOR, IssueLink(account, Purpose.VERIFY))
    return Letter(
        found[0], f"Confirm your address for {site.product}",
        # without the name: nobody has proved this address, and a stranger could have typed anything as the name
        f"Hello,\n\nplease confirm that this address is yours:\n\n{site.public_url}/verify?token={made.token}\n\n"
        "The link works once and for a limited time. If you did not ask for an account, ignore this letter: without "
        f"the confirmation nothing happens.\n\n{site.product}\n{site.contact}\n",
    )  # fmt: skip


async def _enrolment(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
    found = await _recipient(kernel, account)
    if found is None or found[2] != State.INVITED:
        return None
    made = await perform(kernel, issue_link, ACTOR, IssueLink(account, Purpose.ENROL))
    return Letter(
        found[0], f"Join the team of {site.product}",
        f"Hello {found[1]},\n\nyou are invited to the team. Set your password and second factor here:\n\n"
        f"{site.public_url}/enrol?token={made.token}\n\nThe link works once.\n\n{site.product}\n",
    )  # fmt: skip


async def _reset(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
    """Only to an address that was proved."""
    found = await _recipient(kernel, account)
    if found is None or found[2] != State.ACTIVE:
        return None
    made = await perform(kernel, issue_link, ACTOR, IssueLink(account, Purpose.RESET))
    return Letter(
        found[0], f"Set a new password for {site.product}",
        f"Hello {found[1]},\n\nsomebody (perhaps you) asked for a new password. Set it here:\n\n"
        f"{site.public_url}/reset?token={made.token}\n\nThe link works once and for a short time. A second factor "
        "stays on and is asked for as before. If you did not ask, ignore this letter: your password stays as it is.\n\n"
        f"{site.product}\n{site.contact}\n",
    )  # fmt: skip


async def _unlock(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
    found = await _recipient(kernel, account)
    if found is None or found[2] != State.ACTIVE:
        return None
    made = await perform(kernel, issue_link, ACTOR, IssueLink(account, Purpose.UNLOCK))
    return Letter(
        found[0], f"Sign in to {site.product} without waiting",
        f"Hello {found[1]},\n\nafter several wrong passwords the next try has to wait. Open this link in your "
        f"browser, and it may try at once:\n\n{site.public_url}/unlock?token={made.token}\n\nIt works once and for a "
        "short time; your password is still needed. If you did not ask for this, ignore the letter, and turn on "
        f"two-factor sign-in if you have not yet.\n\n{site.product}\n{site.contact}\n",
    )  # fmt: skip


def _told(subject: str, text: str) -> Callable[[Kernel, SiteFacts, str, Mapping[str, str]], Awaitable[Letter | None]]:
    """A letter that only tells; `text` may use {url}."""

    async def compose(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
        found = await _recipient(kernel, account)
        if found is None:
            return None
        body = text.replace("{url}", site.public_url)
        return Letter(found[0], subject, f"Hello {found[1]},\n\n{body}\n\n{site.product}\n{site.contact}\n")

    return compose


_NOT_YOU = (
    "If that was not you, sign in at once, change your password and end all other sessions:\n\n{url}/account/devices"
)
LETTERS = (
    LetterKind("identity.verify_address", _verify),
    LetterKind("identity.enrolment", _enrolment),
    LetterKind("identity.reset_password", _reset),
    LetterKind("identity.unlock", _unlock),
    LetterKind(
        "identity.already_registered",
        _told("You already have an account",
              "somebody (perhaps you) tried to create an account with this address, which has one already.\n\n"
              "Sign in here:\n\n{url}/sign-in"),
    ),
    LetterKind(
        "identity.second_factor_on",
        _told("Two-factor sign-in is on", f"two-factor sign-in was turned on for your account.\n\n{_NOT_YOU}"),
    ),
    LetterKind(
        "identity.second_factor_off",
        _told("Two-factor sign-in is off", f"two-factor sign-in was turned off for your account.\n\n{_NOT_YOU}"),
    ),
    LetterKind(
        "identity.password_changed",
        _told("Your password was changed", f"the password of your account was changed.\n\n{_NOT_YOU}"),
    ),
    LetterKind(
        "identity.new_device",
        _told("A new sign-in to your account",
              "somebody (perhaps you) signed in to your account from a browser that was not used before.\n\n"
              f"{_NOT_YOU}"),
    ),
    LetterKind(
        "identity.codes_refused",
        _told("Somebody knows your password",
              "the password of your account was typed correctly, and then many wrong codes of the second factor. "
              "If that was not you, somebody knows your password and only the second factor kept them out. Set a new "
              "password now:\n\n{url}/forgot"),
    ),
    LetterKind(
        "identity.account_closed",
        _told("Your account is closed",
              "your account is closed and every session has ended.\n\nThank you for having been here."),
    ),
)  # fmt: skip
