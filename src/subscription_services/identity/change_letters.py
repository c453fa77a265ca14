"""Letters about changes of an address and recoveries. Their links belong to one change or one recovery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from subscription_services.kernel.actors import System
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound, SubjectErased
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.mail import Letter, LetterKind, SiteFacts
from subscription_services.storage import open_row
from subscription_services.web.words import time_text

from . import model
from .addresses import is_taken
from .model import State
from .operations.email import IssueChangeLink, issue_change_link
from .queries import account_by_id, has_second_factor
from .recovery_model import LIVE, ChangeState, Lost, RecoveryState, Step, email_change, recovery

ACTOR = System("identity.letters")
Compose = Callable[[Kernel, SiteFacts, str, Mapping[str, str]], Awaitable[Letter | None]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a letter knows: the account and the change or recovery that it is about; times in words."""

    name: str
    email: str
    state: str
    factor: bool
    about: str = ""
    old: str = ""
    new: str = ""
    until: str = ""
    about_state: str = ""
    taken: bool = False
    lost: str = ""


Text = Callable[[Facts, SiteFacts, str], tuple[str, str, str] | None]
"""From facts and link to address, subject and text; None where there is no longer a reason to write."""


def _letter(text: Text, path: str = "", step: Step | None = None) -> Compose:
    """A letter whose text decides to whom it goes. The link is minted whether or not the text shows it: what stands in
    the log must not tell the owner whether an address has an account."""

    async def compose(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
        found = await _facts(kernel, account, values)
        if found is None or found.state != State.ACTIVE:
            return None
        if text(found, site, "") is None:
            return None
        link = ""
        if step is not None:
            try:
                made = await perform(kernel, issue_change_link, ACTOR, IssueChangeLink(found.about or account, step))
            except NotFound:
                return None
            link = f"{site.public_url}{path}?token={made.token}"
        written = text(found, site, link)
        if written is None:
            return None
        to, subject, body = written
        return Letter(to, subject, f"{body}\n\n{site.product}\n{site.contact}\n")

    return compose


async def _facts(kernel: Kernel, account: str, values: Mapping[str, str]) -> Facts | None:
    """None for accounts that are gone, erased or the service's own."""
    keys, ctx = kernel.keys.for_caller("identity"), kernel.context(ACTOR)

    def read(connection: Connection) -> Facts | None:
        tx = ReadTransaction(connection, keys)
        row = account_by_id(tx, account)
        if row is None or row.probe:
            return None
        try:
            return _read(tx, ctx, row, values)
        except SubjectErased:
            return None

    return await kernel.store.read(read)


def _read(tx: ReadTransaction, ctx: Context, row: object, values: Mapping[str, str]) -> Facts:
    me = open_row(tx, model.account, row)  # type: ignore[arg-type]  # a row of identity_account
    base = {
        "name": me["name"], "email": me["email"], "state": me["state"],
        "factor": has_second_factor(tx.connection, me["id"]),
    }  # fmt: skip
    change, lost, about_state, until = values.get("change", ""), "", "", ""
    if identifier := values.get("recovery", ""):
        found = tx.connection.execute(select(recovery).where(recovery.c.id == identifier)).one()
        change, lost, about_state, until = found.change or "", found.lost, found.state, time_text(found.wait_until)
    about = identifier or change
    if not change:
        return Facts(**base, about=about, lost=lost, about_state=about_state, until=until)
    row_of = tx.connection.execute(select(email_change).where(email_change.c.id == change)).one()
    opened = open_row(tx, email_change, row_of)
    if not identifier:
        late = row_of.state == ChangeState.OPEN and row_of.expires_at <= ctx.now
        about_state = "late" if late else row_of.state
        until = time_text(row_of.revert_until or row_of.expires_at)
    taken = is_taken(tx, ctx, opened["new_email"], row_of.account)
    return Facts(
        **base, about=about, old=opened["old_email"], new=opened["new_email"], until=until, about_state=about_state,
        taken=taken, lost=lost,
    )  # fmt: skip


def _confirm_old(f: Facts, site: SiteFacts, link: str) -> tuple[str, str, str] | None:
    if f.about_state != ChangeState.OPEN:
        return None
    return f.old, f"Confirm or stop the change of your address for {site.product}", (
        f"Hello {f.name},\n\nsomebody (perhaps you) asked to change the address of your account to:\n\n{f.new}\n\n"
        f"Confirm it or stop it here, until {f.until}:\n\n{link}\n\nNothing changes before both addresses confirmed. "
        "If that was not you, somebody knows your password: stop it, then set a new password:\n\n"
        f"{site.public_url}/forgot"
    )  # fmt: skip


def _confirm_new(f: Facts, site: SiteFacts, link: str) -> tuple[str, str, str] | None:
    if f.about_state != ChangeState.OPEN:
        return None
    if f.taken:
        return f.new, f"Your address and {site.product}", (
            "Hello,\n\nsomebody (perhaps you) asked to use this address for their account. It already has an account, "
            "so nothing happens.\n\nIf that was you: sign in with this address, or close that account first.\n\n"
            f"{site.public_url}/sign-in"
        )  # fmt: skip
    return f.new, f"Confirm your new address for {site.product}", (
        # without the name: nobody has proved this address, and a stranger could have typed anything as the name
        "Hello,\n\nsomebody (perhaps you) asked to use this address for their account. Confirm that it is yours, until "
        f"{f.until}:\n\n{link}\n\nThe old address has to confirm as well. If you did not ask for this, ignore this "
        "letter: without the confirmation nothing happens."
    )  # fmt: skip


def _changed(f: Facts, site: SiteFacts, link: str) -> tuple[str, str, str] | None:
    if f.about_state != ChangeState.EFFECTIVE:
        return None
    return f.old, f"The address of your account for {site.product} was changed", (
        f"Hello {f.name},\n\nyour account has a new address now, and letters go there. If that was not you, take it "
        f"back here, until {f.until}:\n\n{link}\n\nThen everybody is signed out, and you set a new password with the "
        "next letter to this address. Until that time nobody else can open an account with this address."
    )  # fmt: skip


def _is_new(f: Facts, site: SiteFacts, link: str) -> tuple[str, str, str] | None:
    return f.email, f"Your new address for {site.product}", (
        f"Hello {f.name},\n\nthis is the address of your account from now on: sign in with it. Other devices were "
        f"signed out. The old address can take this back until {f.until}."
    )  # fmt: skip


def _kept(f: Facts, site: SiteFacts, link: str) -> tuple[str, str, str] | None:
    if f.about_state != ChangeState.EFFECTIVE:
        return None
    return f.old, f"Your address and {site.product}", (
        "Hello,\n\nsomebody (perhaps you) tried to create an account with this address. It was the address of an "
        f"account until lately, and is kept for that until {f.until}: until then the letter about the change can put "
        "it back. After that you can create a new account with it."
    )  # fmt: skip


def _recover(f: Facts, site: SiteFacts, link: str) -> tuple[str, str, str] | None:
    if not f.factor:
        return f.email, f"Getting back into {site.product}", (
            f"Hello {f.name},\n\nsomebody (perhaps you) asked to get in without the second factor. Your account has "
            f"none: a new password is enough.\n\n{site.public_url}/forgot"
        )  # fmt: skip
    return f.email, f"Get back into {site.product} without your second factor", (
        f"Hello {f.name},\n\nsomebody (perhaps you) lost the second factor of your account and every recovery code. "
        f"Open this link to ask for its removal:\n\n{link}\n\nThat takes some days: we write to you each day so that "
        "you can stop it, and somebody of our team has to approve it. If you did not ask, ignore this letter."
    )  # fmt: skip


def _notice(f: Facts, site: SiteFacts, link: str) -> tuple[str, str, str] | None:
    if f.about_state not in LIVE:
        return None
    what = (
        f"to change the address of your account to {f.new} though this address could no longer confirm it"
        if f.lost == Lost.ADDRESS
        else "to remove the second factor of your account, because all of it was lost"
    )
    found = "" if f.lost == Lost.ADDRESS else " Signing in with your second factor stops it as well."
    stands = "Our team has approved it." if f.about_state == RecoveryState.APPROVED else "Our team has not decided yet."
    return f.email, f"Somebody wants back into your account for {site.product}", (
        f"Hello {f.name},\n\nsomebody (perhaps you) asked {what}. {stands} Nothing happens before {f.until}.\n\n"
        f"Was that not you? Stop it:\n\n{link}\n\nThen set a new password: {site.public_url}/forgot\n\nIf it was you, "
        f"there is nothing to do: we write again each day, and when it can go on.{found}"
    )  # fmt: skip


def _ready(f: Facts, site: SiteFacts, link: str) -> tuple[str, str, str] | None:
    if f.about_state != RecoveryState.APPROVED:
        return None
    if f.lost == Lost.ADDRESS:
        return f.new, f"Finish the change of your address for {site.product}", (
            f"Hello {f.name},\n\nyour request is approved and the waiting time is over. Make this the address of your "
            f"account:\n\n{link}\n\nThe link works once and for a limited time."
        )  # fmt: skip
    return f.email, f"Get back into your account for {site.product}", (
        f"Hello {f.name},\n\nyour request is approved and the waiting time is over. Remove the lost second factor "
        f"here:\n\n{link}\n\nThe link works once and for a limited time. Your password stays as it is; after that, set "
        "up a new second factor at once."
    )  # fmt: skip


def _refused(f: Facts, site: SiteFacts, link: str) -> tuple[str, str, str] | None:
    return f.email, f"Your request to {site.product} was refused", (
        f"Hello {f.name},\n\nour team looked at the request to get into your account and refused it. Nothing was "
        f"changed. If it was yours, write to us at {site.contact}; if it was not, set a new password:\n\n"
        f"{site.public_url}/forgot"
    )  # fmt: skip


def _removed(f: Facts, site: SiteFacts, link: str) -> tuple[str, str, str] | None:
    if f.about_state != RecoveryState.USED:
        return None
    return f.email, f"Your second factor for {site.product} was removed", (
        f"Hello {f.name},\n\nthe second factor of your account was removed as asked, and every device was signed out. "
        f"Sign in with your password and set up a new one at once:\n\n{site.public_url}/account/two-factor\n\n"
        f"Was that not you? Lock everybody out:\n\n{link}"
    )  # fmt: skip


LETTERS = (
    LetterKind("identity.email_confirm_old", _letter(_confirm_old, "/email/confirm", Step.CONFIRM_OLD)),
    LetterKind("identity.email_confirm_new", _letter(_confirm_new, "/email/confirm", Step.CONFIRM_NEW)),
    LetterKind("identity.email_changed", _letter(_changed, "/email/revert", Step.REVERT)),
    LetterKind("identity.email_is_new", _letter(_is_new)),
    LetterKind("identity.address_kept", _letter(_kept)),
    LetterKind("identity.recover", _letter(_recover, "/recover/open", Step.RECOVER)),
    LetterKind("identity.recovery_notice", _letter(_notice, "/recover/stop", Step.STOP)),
    LetterKind("identity.recovery_ready", _letter(_ready, "/recover/finish", Step.FINISH)),
    LetterKind("identity.recovery_refused", _letter(_refused)),
    LetterKind("identity.factors_removed", _letter(_removed, "/recover/stop", Step.STOP)),
)
