"""To the provider of the team's organisation and back."""

from __future__ import annotations

import asyncio

from starlette.responses import RedirectResponse, Response

from subscription_services.identity.configured import rules
from subscription_services.identity.errors import ProviderSilent, SignOnFailed, SignOnOff
from subscription_services.identity.operations import single_sign_on as ops
from subscription_services.identity.sign_on import CALLBACK, new_flow, open_flow, sign_on, sign_on_required
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.errors import DomainError
from subscription_services.web.call import Call
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get

from .binding import offer_binding
from .cookies import flow_of, forget_flow, keep_challenge, keep_device, keep_flow, keep_session
from .sign_in import HOME, before, code_path

START = "/sign-in/team"


async def begin(call: Call) -> Response:
    """Off to the provider. Nothing is written: the browser keeps what is needed on the way back."""
    configured = sign_on()
    again = bool(call.query("again"))
    if configured is None:
        return _problem(call, SignOnOff())
    if not again and not isinstance(call.actor, Anonymous):
        return call.go(HOME)
    kernel = call.site.kernel
    flow = new_flow(kernel.keys.for_caller("identity"), kernel.random, call.now, call.next_or(HOME)[:500])
    longest = int(rules().absolute.total_seconds())
    try:
        address = await asyncio.get_running_loop().run_in_executor(
            kernel.pools["sign-on"],
            lambda: configured.provider.authorization_url(
                state=flow.state, nonce=flow.nonce, verifier=flow.verifier, longest=longest, again=again
            ),
        )
    except ProviderSilent as error:
        return _problem(call, error)
    response = RedirectResponse(address, 303)
    keep_flow(response, flow.cookie)
    return response


async def come_back(call: Call) -> Response:
    """The provider sent the browser here with its answer."""
    answer = {name: call.query(name)[:longest] for name, longest in _LONGEST.items()}
    request = ops.SignInOidc(flow=flow_of(call.request), **before(call), **answer)
    kernel = call.site.kernel
    # the page that was wanted stands in the cookie, which only we can write
    flow = open_flow(kernel.keys.for_caller("identity"), request.flow, call.now)
    try:
        signed = await call.perform(ops.sign_in_oidc, request)
    except (SignOnFailed, SignOnOff, ProviderSilent) as error:
        response = _problem(call, error)
        forget_flow(response)
        return response
    wanted = flow.after if flow is not None else HOME
    if signed.challenge:
        response = call.go(code_path("/sign-in/code", wanted, " ".join(signed.ways)))
        keep_challenge(response, signed.challenge)
    else:
        response = call.go(wanted)
        keep_session(response, signed.token)
        offer_binding(call, response, signed.token)
        keep_device(response, signed.device)
    forget_flow(response)
    return response


_LONGEST = {"state": 200, "code": 4000, "iss": 300, "error": 100}


def _problem(call: Call, error: DomainError) -> Response:
    return call.render(
        "identity/sign_on_problem.html", status_of(error), error=error, again=START, password=not sign_on_required(),
        off=isinstance(error, SignOnOff), number=call.view.request_id,
    )  # fmt: skip


def routes() -> tuple[Route, ...]:
    """To the provider, and back."""
    return (
        get(START, begin, public="nobody is signed in before signing in"),
        Route("GET", CALLBACK, come_back, ops.sign_in_oidc, "the provider sends the browser here by a link"),
    )
