"""The page of what is not used, with one step to take each away."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.access.operations.people import end_grant
from subscription_services.access.operations.service_accounts import narrow_token, revoke_token
from subscription_services.access.operations.unused import ReportUnused, unused_permissions
from subscription_services.access.settings import in_force
from subscription_services.access.unused import EndsSoon, Unused
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.words import Words, as_words, words
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

from .console import enter, short

BASE = "/team/unused"
SCOPE = "scope:"
REASON = "not used for {days} days"
ENDED = notices.declare("access-unused-role-ended", "success", "The role has ended, in every open session.")
NARROWED = notices.declare("access-token-narrowed", "success", "The token may do this no more, from now on.")
REVOKED = notices.declare(
    "access-unused-token-revoked", "success", "The token is revoked. Its next request is refused."
)


async def show(call: Call) -> Response:
    """Roles and operations of tokens that nobody uses, and what will end by itself."""
    return await _page(call)


async def end_role(call: Call) -> Response:
    given = {"id": call.path("grant"), "reason": REASON.format(days=in_force().unused_permission_days)}
    done = await call.submit(end_grant, given=given)
    return await _page(call, done.form, done.status, done.error) if done.form else call.go(BASE, ENDED)


async def narrow(call: Call) -> Response:
    """Take away exactly what the person saw."""
    fields = await call.fields()
    remove = [name.removeprefix(SCOPE) for name in fields if name.startswith(SCOPE)]
    done = await call.submit(narrow_token, given={"id": call.path("token"), "remove": remove})
    return await _page(call, done.form, done.status, done.error) if done.form else call.go(BASE, NARROWED)


async def revoke(call: Call) -> Response:
    done = await call.submit(revoke_token, given={"id": call.path("token")})
    return await _page(call, done.form, done.status, done.error) if done.form else call.go(BASE, REVOKED)


def unused_routes() -> tuple[Route, ...]:
    return (
        get(BASE, show, unused_permissions),
        post(f"{BASE}/roles/{{grant}}/end", end_role, end_grant),
        post(f"{BASE}/tokens/{{token}}/narrow", narrow, narrow_token),
        post(f"{BASE}/tokens/{{token}}/revoke", revoke, revoke_token),
    )


async def _page(
    call: Call, form: FormState | None = None, status: int = 200, error: DomainError | None = None
) -> Response:
    may = enter(call)
    found: Unused = await call.perform(unused_permissions, ReportUnused())
    problem = error.words if error is not None else form.problem if form is not None else None
    return call.render(
        "access/unused.html", status, report=found, problem=problem, own=call.actor.id, short=short, now=call.now,
        kinds={item.holder: _kind(item) for item in found.ending},
        links={item.holder: _link(item) for item in found.ending},
        may_end=end_grant.name in may, may_narrow=narrow_token.name in may, may_revoke=revoke_token.name in may,
        people_days=in_force().unused_person_days, program_days=in_force().unused_program_days,
    )  # fmt: skip


def _kind(item: EndsSoon) -> Words:
    kinds = {"acc": words("Account of the team"), "svc": words("Service account"), "tok": words("Token")}
    return as_words(kinds[item.holder.partition("_")[0]])


def _link(item: EndsSoon) -> str:
    kind = item.holder.partition("_")[0]
    return f"/team/people/{item.holder}" if kind == "acc" else f"/team/service-accounts/{item.program}"
