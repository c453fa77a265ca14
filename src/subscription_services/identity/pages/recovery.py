"""Getting back in when every second factor is lost: ask, stop, finish."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.identity.errors import ChallengeEnded, LinkInvalid, NothingLost
from subscription_services.identity.operations import recovery as ops
from subscription_services.kernel.errors import NotFound, TooMany
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get, post

from .cookies import challenge_of, forget_challenge
from .email import problem, with_link
from .sign_in import START_AGAIN

STOPPED = notices.declare("recovery-stopped", "success", "The request is stopped. Nothing was changed.")
NOTHING = notices.declare("recovery-nothing", "info", "No request waits. Nothing was changed.")
FINISHED = notices.declare(
    "recovery-finished", "success",
    "Your lost second factor is removed. Sign in with your password, then set up a new one at once.",
)  # fmt: skip
_PUBLIC = "who lost the second factor cannot sign in"
_LINK = "the link of the letter leads here"


async def show(call: Call) -> Response:
    """What will happen, and how to ask: at once after the right password, else with a letter."""
    return _page(call, FormState())


async def ask(call: Call) -> Response:
    """Ask after the right password."""
    challenge = challenge_of(call.request)
    if not 20 <= len(challenge) <= 100:
        return _again(call)
    try:
        done = await call.perform(ops.ask_recovery, ops.AskRecovery(challenge))
    except ChallengeEnded:
        return _again(call)
    except (TooMany, NothingLost) as error:
        return _page(call, FormState(problem=error.words), status_of(error))
    return call.render("identity/recover_asked.html", wait_until=done.wait_until)


async def ask_letter(call: Call) -> Response:
    """Ask for the letter, if there is somebody to send it to."""
    done = await call.submit(ops.ask_recovery_letter)
    return _page(call, done.form, done.status) if done.form is not None else call.go("/recover/sent")


async def show_sent(call: Call) -> Response:
    """The same for any address."""
    return call.render("identity/recover_sent.html")


async def show_open(call: Call) -> Response:
    """One button: programs that scan letters open links, but press nothing."""
    return _button(call, "open")


async def open_it(call: Call) -> Response:
    """Ask with the link of the letter."""
    try:
        done = await with_link(call, ops.open_recovery)
    except (TooMany, NothingLost) as error:
        return problem(call, error)
    if isinstance(done, Response):
        return done
    assert isinstance(done, ops.Recovering)
    return call.render("identity/recover_asked.html", wait_until=done.wait_until)


async def show_stop(call: Call) -> Response:
    """One button: this was not me."""
    return _button(call, "stop")


async def stop(call: Call) -> Response:
    """Stop it with the link of a notice."""
    done = await with_link(call, ops.stop_recovery_by_link)
    if isinstance(done, Response):
        return done
    assert isinstance(done, ops.RecoveryStopped)
    return call.render("identity/recover_stopped.html", late=done.too_late)


async def stop_own(call: Call) -> Response:
    """Stop it while signed in; pressed twice it is just as well."""
    try:
        await call.perform(ops.stop_recovery, ops.StopRecovery())
    except NotFound:
        return call.go("/account/profile", NOTHING)
    return call.go("/account/profile", STOPPED)


async def show_finish(call: Call) -> Response:
    """One button, and what it does."""
    return _button(call, "finish")


async def finish(call: Call) -> Response:
    """Remove what was lost; for an address, move to the new one."""
    done = await with_link(call, ops.finish_recovery)
    if isinstance(done, Response):
        return done
    assert isinstance(done, ops.RecoveryUsed)
    if done.lost == "address":
        return call.render("identity/email_done.html", done="changed")
    response = call.go("/sign-in", FINISHED)
    forget_challenge(response)
    return response


def _page(call: Call, form: FormState, status: int = 200) -> Response:
    return call.render("identity/recover.html", status, form=form, known=bool(challenge_of(call.request)))


def _button(call: Call, what: str) -> Response:
    token = call.query("token")
    if not token:
        return problem(call, LinkInvalid())
    return call.render("identity/recover_link.html", token=token, what=what)


def _again(call: Call) -> Response:
    response = call.go("/sign-in", START_AGAIN)
    forget_challenge(response)
    return response


def routes() -> tuple[Route, ...]:
    """Pages for people who lost every second factor."""
    return (
        get("/recover", show, public=_PUBLIC),
        post("/recover", ask, ops.ask_recovery),
        post("/recover/letter", ask_letter, ops.ask_recovery_letter),
        get("/recover/sent", show_sent, public="says only that a letter was sent"),
        get("/recover/open", show_open, public=_LINK),
        post("/recover/open", open_it, ops.open_recovery),
        get("/recover/stop", show_stop, public=_LINK),
        post("/recover/stop", stop, ops.stop_recovery_by_link),
        get("/recover/finish", show_finish, public=_LINK),
        post("/recover/finish", finish, ops.finish_recovery),
        post("/account/recovery/stop", stop_own, ops.stop_recovery),
    )
