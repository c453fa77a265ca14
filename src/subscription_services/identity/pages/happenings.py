"""One's own history in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from subscription_services.identity.browsers import browser_in_words
from subscription_services.identity.operations.profile import Happening
from subscription_services.kernel.operations import Registry
from subscription_services.kernel.words import as_words, counted, joined, table, words

WORDS = table({
    "identity.sign_up": "Account opened", "identity.resend_verification": "Another letter asked for",
    "identity.choose_idle": "Time without use changed", "identity.choose_hours": "Longest session changed",
    "identity.bind_device": "Session bound to a device's key",
    "identity.renew_device": "Device showed its key", "identity.prove_key": "Browser showed its key",
    "identity.ask_unlock": "Asked to sign in without waiting", "identity.unlock": "A browser may try without waiting",
    "identity.ask_reset": "A new password asked for", "identity.reset_password": "New password set with a link",
    "identity.verify_address": "Address confirmed", "identity.issue_link": "Link made for a letter",
    "identity.sign_in": "Signed in", "identity.sign_in_code": "Signed in with a code",
    "identity.sign_out": "Signed out", "identity.confirm_it_is_me": "Confirmed with the password",
    "identity.start_totp": "Began to add an authenticator app",
    "identity.pending_totp": "Looked at the key of an authenticator app",
    "identity.confirm_totp": "Authenticator app added", "identity.remove_totp": "Authenticator app removed",
    "identity.rename_totp": "Authenticator app renamed",
    "identity.begin_passkey": "Began to add a passkey", "identity.register_passkey": "Passkey added",
    "identity.rename_passkey": "Passkey renamed", "identity.remove_passkey": "Passkey removed",
    "identity.passkey_sign_in": "Signed in with a passkey",
    "identity.begin_passkey_factor": "Passkey asked for, to sign in",
    "identity.passkey_factor": "Signed in with password and passkey",
    "identity.begin_passkey_confirm": "Passkey asked for, to confirm",
    "identity.confirm_with_passkey": "Confirmed with a passkey",
    "identity.new_recovery_codes": "New recovery codes", "identity.change_password": "Password changed",
    "identity.change_name": "Name changed", "identity.end_session": "One device signed out",
    "identity.end_other_sessions": "Every other device signed out", "identity.close_account": "Account closed",
    "identity.enrol": "Joined the team", "identity.touch_session": "Session in use",
    "identity.find_person": "Looked up your account",
    "identity.ask_email_change": "Another address asked for", "identity.stop_email_change": "Change of address stopped",
    "identity.email_change": "Looked at the change of address",
    "identity.stop_email_change_by_link": "Change of address stopped with a letter",
    "identity.confirm_email_change": "Change of address confirmed",
    "identity.revert_email_change": "Change of address taken back",
    "identity.issue_change_link": "Link made for a letter",
    "identity.ask_recovery": "Asked to get in without the second factor",
    "identity.ask_recovery_letter": "Letter asked for, to get in without the second factor",
    "identity.open_recovery": "Asked to get in without the second factor",
    "identity.ask_address_recovery": "Asked to change the address without the old one",
    "identity.stop_recovery": "Getting in without the second factor stopped",
    "identity.stop_recovery_by_link": "Getting in without the second factor stopped with a letter",
    "identity.finish_recovery": "What was lost was removed", "identity.keep_recovery": "Told you again of the request",
    "identity.recovery": "Looked at the request to get into your account",
    "identity.approve_recovery": "Request to get into your account approved",
    "identity.refuse_recovery": "Request to get into your account refused",
    "identity.approve_team_recovery": "Request to get into your account approved",
    "identity.refuse_team_recovery": "Request to get into your account refused",
    "subscriptions.subscribe": "Subscription begun", "subscriptions.cancel": "Subscription cancelled",
    "subscriptions.resume": "Subscription resumed", "subscriptions.finish": "Subscription ended",
    "subscriptions.of_person": "Looked at your subscriptions",
    "billing.start_checkout": "Checkout begun", "billing.cancel_checkout": "Checkout left",
    "billing.settle_payment": "Payment settled", "billing.open_payment": "Payment begun",
    "billing.set_details": "Billing details changed", "billing.remove_payment_method": "Card removed",
    "billing.set_default_method": "Card for payments chosen", "billing.invoice_pdf": "Invoice downloaded",
    "billing.refund": "Refund given", "billing.of_person": "Looked at your invoices",
    "billing.record_intent": "Payment made ready", "billing.close_payment": "Payment closed",
    "billing.open_period": "New period begun", "billing.record_refund": "Refund sent",
    "billing.payment_facts": "Payment read, to settle it with the processor",
    "billing.method_facts": "Card read, to settle it with the processor",
    "billing.refund_facts": "Refund read, to settle it with the processor",
    "billing.letter_facts": "Invoice read, to write you a letter",
    "mail.record_sent": "Letter sent", "mail.record_failed": "Letter could not be sent",
    "mail.record_not_needed": "Letter no longer needed", "mail.retry": "Letter tried again",
    "access.my_permissions": "Looked at own permissions",
    "access.invite": "Invited to the team", "access.grant_role": "Role given", "access.end_grant": "Role taken back",
    "access.unmask": "Looked at data of yours that is masked otherwise",
    "access.confirm_role": "Role confirmed",
})  # fmt: skip
# looks at one's own pages: worth knowing that they happened, not worth a line each
LOOKS = frozenset(
    {
        "identity.profile", "identity.email_change", "identity.second_factor",
        "identity.devices", "identity.activity", "subscriptions.list_own",
        "subscriptions.show", "subscriptions.history", "subscriptions.plans", "billing.invoices", "billing.invoice",
        "billing.checkout", "billing.details", "billing.offer", "billing.payment_methods", "access.my_permissions",
    }
)  # fmt: skip
REASONS = table({
    "wrong-credentials": "the password was wrong", "not-verified": "the address was not confirmed yet",
    "wrong-code": "the code was wrong", "wrong-passkey": "the passkey did not fit",
    "passkey-copied": "there may be a copy of the passkey", "sign-in-ended": "it took too long",
    "too-many": "there were too many tries", "too-many-codes": "there were too many wrong codes",
    "step-up-needed": "it had to be confirmed with the password first",
    "wrong-key": "another key signed, so the session was ended", "stale-proof": "the proof was an old one",
    "bad-proof": "what came was no proof", "session-unbound": "the browser did not show its key",
    "email-change-over": "the change was over", "address-taken": "the address had an account",
    "recovery-over": "the request was over", "recovery-too-early": "it was too early",
    "nothing-lost": "there was no second factor",
    "link-used": "the link was used already", "link-expired": "the link had expired",
    "not-found": "there was nothing of that name", "not-signed-in": "nobody was signed in",
})  # fmt: skip
REFUSED = table({
    "identity.sign_in": "Sign-in refused", "identity.sign_in_code": "Sign-in with a code refused",
    "identity.confirm_it_is_me": "Confirmation refused",
    "identity.confirm_totp": "Code refused while adding an authenticator app",
    "identity.register_passkey": "New passkey refused", "identity.passkey_sign_in": "Sign-in with a passkey refused",
    "identity.passkey_factor": "Sign-in with a passkey refused",
    "identity.confirm_with_passkey": "Confirmation with a passkey refused",
    "identity.change_password": "Change of password refused",
    "identity.bind_device": "Key of a device refused", "identity.renew_device": "Key of a device refused",
    "identity.prove_key": "Key of a browser refused",
})  # fmt: skip
SHOWN = table({"e-mail": "your e-mail address", "name": "your name", "billing address": "your billing address"})
YOU = words("You")
_WHO = table({"team-member": "Our team", "service-account": "A program of ours", "system": "The service"})
_NOBODY = words("Somebody not signed in")
_SYMBOLS = {"identity": "shield", "subscriptions": "repeat", "billing": "card", "mail": "mail", "access": "people"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the page: an event, or a row of looks at one's own pages. `index` is its place in the public log."""

    at: datetime
    title: str
    who: str
    detail: str
    tone: str
    symbol: str
    index: int | None


def title_of(action: str, registry: Registry) -> str:
    """The action in people's words; what has none here (the team's own work) says what the operation is for."""
    if action in WORDS:
        return WORDS[action]
    operation = registry.get(action)
    return as_words(operation.summary if operation else action)


def who_of(happening: Happening) -> str:
    """You, our team, a program, the service, or somebody not signed in."""
    if happening.by_me:
        return YOU
    return _WHO.get(happening.actor_kind, _NOBODY)


def lines_of(happenings: Iterable[Happening], registry: Registry) -> list[Line]:
    """The page's lines, newest first; looks at one's own pages that follow each other stand in one line."""
    found: list[Line] = []
    for look, group in groupby(happenings, _is_look):
        if look:
            seen = list(group)
            title = counted("Looked at your pages once", "Looked at your pages %(num)s times", len(seen))
            found.append(Line(seen[0].at, title, YOU, _place(seen[0]), "neutral", "dot", None))
        else:
            found.extend(_line(item, registry) for item in group)
    return found


def _is_look(happening: Happening) -> bool:
    return happening.by_me and happening.outcome == "success" and happening.action in LOOKS


def _line(item: Happening, registry: Registry) -> Line:
    good = item.outcome == "success"
    title = title_of(item.action, registry)
    if not good:
        refused = words("Refused: %(what)s", what=title)
        other = refused if item.outcome == "refused" else words("Failed: %(what)s", what=title)
        title = REFUSED.get(item.action, other)
    reason = "" if good else REASONS.get(item.reason, item.reason.removeprefix("error:").replace("-", " "))
    detail = joined(_place(item), reason, *(SHOWN.get(kind, kind) for kind in item.shown), _why(item))
    team = item.actor_kind == "team-member" and not item.by_me
    tone = "danger" if not good else "warning" if team else "success" if item.by_me else "neutral"
    symbol = "cross" if not good else "people" if team else _SYMBOLS.get(item.action.partition(".")[0], "dot")
    return Line(item.at, title, who_of(item), detail, tone, symbol, item.log_index)


def _why(item: Happening) -> str:
    return words("reason: %(reason)s", reason=item.why) if item.why else ""


def _place(item: Happening) -> str:
    browser = browser_in_words(item.browser) if item.browser else ""
    return joined(browser, item.address)
