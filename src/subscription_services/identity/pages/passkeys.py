"""Passkeys: adding one, signing in with one, confirming with one. The browser's answer comes as a field of a form."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from subscription_services.identity.browsers import UNKNOWN, browser_in_words
from subscription_services.identity.errors import ChallengeEnded
from subscription_services.identity.operations import passkey_sign_in as ops
from subscription_services.identity.operations import passkeys, second_factor
from subscription_services.identity.operations.passkeys import PasskeyOptions
from subscription_services.kernel.errors import StepUpNeeded
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

from .account import soon_stale
from .cookies import challenge_of
from .sign_in import (
    HOME,
    before,
    confirmed,
    show_code_form,
    show_confirm_form,
    show_sign_in_form,
    signed_in,
    start_again,
    to_confirm,
)
from .two_factor import PAGE, added

ADD = f"{PAGE}/passkey"


async def begin_sign_in(call: Call) -> Response:
    """What the browser is to ask its passkeys for."""
    return _options(await call.perform(ops.begin_passkey_sign_in, second_factor.Nothing()))


async def sign_in(call: Call) -> Response:
    """Sign in with a passkey alone."""
    done = await call.submit(ops.passkey_sign_in, labels=_LABELS, given=before(call))
    if done.form is not None:
        return show_sign_in_form(call, _whole(done.form), done.status, done.error)
    return signed_in(call, call.next_or(HOME), done.answer)


async def begin_factor(call: Call) -> Response:
    """The same after the password, for the passkeys of that account only."""
    asked = ops.BeginPasskeyFactor(challenge_of(call.request)[:100].ljust(20))
    return _options(await call.perform(ops.begin_passkey_factor, asked))


async def finish(call: Call) -> Response:
    """Finish signing in with a passkey."""
    wanted, challenge = call.next_or(HOME), challenge_of(call.request)
    if not 20 <= len(challenge) <= 100:
        return start_again(call, wanted)
    given = {"challenge": challenge, **before(call)}
    done = await call.submit(ops.passkey_factor, labels=_LABELS, given=given)
    if isinstance(done.error, ChallengeEnded):
        return start_again(call, wanted)
    if done.form is not None:
        return show_code_form(call, _whole(done.form), done.status)
    return signed_in(call, wanted, done.answer)


async def begin_confirm(call: Call) -> Response:
    """The same for proving oneself again."""
    return _options(await call.perform(ops.begin_passkey_confirm, second_factor.Nothing()))


async def confirm(call: Call) -> Response:
    """Prove oneself again with a passkey, then back to where one came from."""
    done = await call.submit(ops.confirm_with_passkey, labels=_LABELS)
    if done.form is not None:
        return await show_confirm_form(call, _whole(done.form), done.status)
    return confirmed(call, done.answer)


async def show_add(call: Call) -> Response:
    """Says what a passkey is, and asks what to call it."""
    factor = await call.perform(second_factor.second_factor, second_factor.Nothing())
    if soon_stale(call):
        return to_confirm(call, ADD)
    browser = browser_in_words(call.origin.user_agent)
    name = passkeys.PASSKEY if browser.startswith(UNKNOWN) else browser
    return _add(call, FormState({"name": name}), factor.on)


async def begin_add(call: Call) -> Response:
    """What the browser is to make a passkey from."""
    return _options(await call.perform(passkeys.begin_passkey, second_factor.Nothing()))


async def add(call: Call) -> Response:
    """Keep the new passkey, and show recovery codes with the first factor."""
    try:
        done = await call.submit(passkeys.register_passkey, labels={**_LABELS, "name": "a name"})
    except StepUpNeeded as error:
        return to_confirm(call, ADD, error)
    if done.form is not None:
        factor = await call.perform(second_factor.second_factor, second_factor.Nothing())
        return _add(call, _whole(done.form), factor.on, done.status)
    return added(call, done.answer)


def _add(call: Call, form: FormState, on: bool, status: int = 200) -> Response:
    return call.render("identity/add_passkey.html", status, form=form, on=on)


_LABELS = {"credential": "your passkey"}


def _whole(form: FormState) -> FormState:
    """What the script puts into the form is nobody's typing: its error stands on top, and it is not shown again."""
    errors = {name: text for name, text in form.errors.items() if name != "credential"}
    values = {name: text for name, text in form.values.items() if name != "credential"}
    missing = "Your browser sent no passkey. It may be too old for passkeys, or JavaScript is off: choose another way."
    problem = form.problem or (missing if "credential" in form.errors else None)
    return FormState(values, errors, problem)


def _options(found: PasskeyOptions) -> Response:
    return Response(msgspec.json.encode(found.options), media_type="application/json")


def routes() -> tuple[Route, ...]:
    """Pages of passkeys."""
    return (
        post("/sign-in/passkey/begin", begin_sign_in, ops.begin_passkey_sign_in),
        post("/sign-in/passkey", sign_in, ops.passkey_sign_in),
        post("/sign-in/code/passkey/begin", begin_factor, ops.begin_passkey_factor),
        post("/sign-in/code/passkey", finish, ops.passkey_factor),
        post("/confirm/passkey/begin", begin_confirm, ops.begin_passkey_confirm),
        post("/confirm/passkey", confirm, ops.confirm_with_passkey),
        get(ADD, show_add, second_factor.second_factor),
        post(f"{ADD}/begin", begin_add, passkeys.begin_passkey),
        post(ADD, add, passkeys.register_passkey),
    )
