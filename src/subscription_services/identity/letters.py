"""The letters of this room. Links are minted when a letter is sent; the token stands behind the hash of the link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import select

from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import SubjectErased
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.mail import Letter, LetterKind, SiteFacts, template
from subscription_services.storage import open_row

from .browsers import browser_in_words
from .change_letters import LETTERS as OF_CHANGES
from .model import Purpose, State, account, session
from .operations.sign_up import IssueLink, issue_link
from .places import near
from .queries import account_by_id

ACTOR = System("identity.letters")
Recipient = tuple[str, str, str]


async def _recipient(kernel: Kernel, identifier: str) -> Recipient | None:
    """Address, name and state of an account, closed ones included; nobody where it was erased."""
    keys = kernel.keys.for_caller("identity")

    def read(connection: object) -> Recipient | None:
        tx = ReadTransaction(connection, keys)  # type: ignore[arg-type]  # the store hands its own connection
        row = account_by_id(tx, identifier)
        if row is None or row.probe:
            return None
        try:
            opened = open_row(tx, account, row)
        except SubjectErased:
            return None
        return opened["email"], opened["name"], opened["state"]

    return await kernel.store.read(read)


Compose = Callable[[Kernel, SiteFacts, str, Mapping[str, str]], Awaitable[Letter | None]]


def _linked(purpose: Purpose, state: State, subject: str, text: str) -> Compose:
    """A letter with a link for one use, to an account in that state only; texts may use {product}, {name}, {link}."""
    template(subject)
    template(text)

    async def compose(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
        found = await _recipient(kernel, account)
        if found is None or found[2] != state:
            return None
        made = await perform(kernel, issue_link, ACTOR, IssueLink(account, purpose))
        link = f"{site.public_url}/{purpose.value}?token={made.token}"
        body = site.say(text, product=site.product, name=found[1], link=link)
        return Letter(found[0], site.say(subject, product=site.product), f"{body}{_close(site)}")

    return compose


def _told(subject: str, text: str) -> Compose:
    """A letter that only tells; `text` may use {url}."""
    template(subject)
    template(text)

    async def compose(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
        return await _tell(kernel, site, account, subject, text)

    return compose


async def _tell(
    kernel: Kernel, site: SiteFacts, account: str, subject: str, text: str, **values: str
) -> Letter | None:  # fmt: skip
    found = await _recipient(kernel, account)
    if found is None:
        return None
    body = f"{site.say(_HELLO, name=found[1])}\n\n{site.say(text, url=site.public_url, **values)}"
    return Letter(found[0], site.say(subject), f"{body}{_close(site)}")


def _close(site: SiteFacts) -> str:
    return f"\n\n{site.product}\n{site.contact}\n"


_HELLO = template("Hello {name},")
_NOT_YOU = (
    "If that was not you, sign in at once, change your password and end all other sessions:\n\n{url}/account/devices"
)
_NEW_DEVICE = template(
    "somebody (perhaps you) signed in to your account from a browser that was not used before:\n\n"
    f"{{browser}}, {{place}}\n\n{_NOT_YOU}"
)
template("A new sign-in to your account")


async def _new_device(kernel: Kernel, site: SiteFacts, about: str, values: Mapping[str, str]) -> Letter | None:
    """Tells of a sign-in from a browser that was not known: which, and roughly from where."""
    keys = kernel.keys.for_caller("identity")

    def read(connection: object) -> tuple[str, str]:
        tx = ReadTransaction(connection, keys)  # type: ignore[arg-type]  # the store hands its own connection
        mine = (session.c.id == values.get("session", ""), session.c.account == about)
        row = tx.connection.execute(select(session).where(*mine)).one_or_none()
        opened = {} if row is None else open_row(tx, session, row)
        return browser_in_words(opened.get("user_agent", "")), near(opened.get("address", ""))

    browser, place = await kernel.store.read(read)
    subject = "A new sign-in to your account"
    return await _tell(kernel, site, about, subject, _NEW_DEVICE, browser=browser, place=place)


LETTERS = (
    LetterKind(
        "identity.verify_address",
        # without the name: nobody has proved this address, and a stranger could have typed anything as the name
        _linked(Purpose.VERIFY, State.UNVERIFIED, "Confirm your address for {product}",
                "Hello,\n\nplease confirm that this address is yours:\n\n{link}\n\nThe link works once and for a "
                "limited time. If you did not ask for an account, ignore this letter: without the confirmation nothing "
                "happens."),
    ),
    LetterKind(
        "identity.enrolment",
        _linked(Purpose.ENROL, State.INVITED, "Join the team of {product}",
                "Hello {name},\n\nyou are invited to the team. Set your password and second factor here:\n\n{link}\n\n"
                "The link works once."),
    ),
    LetterKind(
        "identity.reset_password",
        _linked(Purpose.RESET, State.ACTIVE, "Set a new password for {product}",
                "Hello {name},\n\nsomebody (perhaps you) asked for a new password. Set it here:\n\n{link}\n\nThe link "
                "works once and for a short time. A second factor stays on and is asked for as before. If you did not "
                "ask, ignore this letter: your password stays as it is."),
    ),
    LetterKind(
        "identity.choose_password",
        _linked(Purpose.RESET, State.ACTIVE, "Choose a new password for {product}",
                "Hello {name},\n\nyour account is yours again: everybody is signed out and the old password opens "
                "nothing more. Choose a new one here:\n\n{link}\n\nThe link works once and for a short time; after "
                "that, ask for another on the page \"Forgotten your password?\". Then look at your second factor: "
                "remove what you do not know."),
    ),
    LetterKind(
        "identity.unlock",
        _linked(Purpose.UNLOCK, State.ACTIVE, "Sign in to {product} without waiting",
                "Hello {name},\n\nafter several wrong passwords the next try has to wait. Open this link in your "
                "browser, and it may try at once:\n\n{link}\n\nIt works once and for a short time; your password "
                "is still needed. If you did not ask for this, ignore the letter, and turn on two-factor sign-in if "
                "you have not yet."),
    ),
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
        "identity.factor_added",
        _told("A new way to prove that it is you",
              f"a passkey or an authenticator app was added to your account.\n\n{_NOT_YOU}"),
    ),
    LetterKind(
        "identity.factor_removed",
        _told("A way to prove that it is you was removed",
              f"a passkey or an authenticator app was removed from your account. Two-factor sign-in is still "
              f"on.\n\n{_NOT_YOU}"),
    ),
    LetterKind(
        "identity.new_recovery_codes",
        _told("New recovery codes",
              f"new recovery codes were made for your account; the old ones stopped working.\n\n{_NOT_YOU}"),
    ),
    LetterKind(
        "identity.passkey_copied",
        _told("One of your passkeys was refused",
              "somebody (perhaps you) used a passkey of your account whose counter of uses went backwards. That "
              "happens when there is a copy of it, so we refused it. Sign in another way, remove that passkey and "
              "add a new one:\n\n{url}/account/two-factor"),
    ),
    LetterKind(
        "identity.password_changed",
        _told("Your password was changed", f"the password of your account was changed.\n\n{_NOT_YOU}"),
    ),
    LetterKind("identity.new_device", _new_device),
    LetterKind(
        "identity.sign_on_linked",
        _told("Single sign-on opens your account",
              "your account of the team can now be opened through your organisation's single sign-on, for the first "
              f"time just now.\n\n{_NOT_YOU}\n\nThen tell an administrator."),
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
    *OF_CHANGES,
)  # fmt: skip
