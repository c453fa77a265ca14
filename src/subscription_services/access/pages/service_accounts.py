"""Pages of service accounts and their tokens."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.access import catalogue
from subscription_services.access.dpop import is_private
from subscription_services.access.operations.people import People, people
from subscription_services.access.operations.service_accounts import (
    IssuedToken,
    ListServiceAccounts,
    create_service_account,
    end_service_account,
    hand_over_service_account,
    issue_token,
    revoke_token,
    rotate_token,
    service_accounts,
)
from subscription_services.access.queries import ServiceAccountRow, ServiceAccounts, Team
from subscription_services.access.settings import in_force
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.words import table, words
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

from .console import enter, short

BASE = "/team/service-accounts"
ENDED = notices.declare("access-program-ended", "success", "The service account and all its tokens have ended.")
HANDED = notices.declare("access-program-handed-over", "success", "The new owner answers for it. Both were written to.")
NOT_ENDED = notices.declare("access-program-not-ended", "warning", "That service account had ended already.")
REVOKED = notices.declare("access-token-revoked", "success", "The token is revoked. Its next request is refused.")
NOT_REVOKED = notices.declare("access-token-not-revoked", "warning", "That token was revoked already.")
LABELS = table({"name": "a name", "owner": "an owner", "days": "when it expires", "key": "a key"})
ACCOUNT_DAYS = [("90", words("In 90 days")), ("180", words("In 180 days")), ("366", words("In a year"))]
TOKEN_DAYS = [("7", words("In 7 days")), ("30", words("In 30 days")), ("90", words("In 90 days"))]
SCOPE = "scope:"
ISSUE, OWNER = "issue", "owner"


async def show_all(call: Call) -> Response:
    """Every service account."""
    may = enter(call)
    found: ServiceAccounts = await call.perform(service_accounts, ListServiceAccounts())
    may_create = create_service_account.name in may
    return call.render("access/service_accounts.html", accounts=found.accounts, may_create=may_create, now=call.now)


async def show_new(call: Call) -> Response:
    """The form of a new service account."""
    enter(call)
    return await _new(call, FormState(values={"owner": call.actor.id, "days": "366"}))


async def create(call: Call) -> Response:
    done = await call.submit(create_service_account, labels=LABELS)
    return await _new(call, done.form, done.status) if done.form else call.go(f"{BASE}/{done.answer.id}")


async def show_one(call: Call) -> Response:
    """One service account, its tokens, and the form of a new one."""
    return await _one(call, {})


async def issue(call: Call) -> Response:
    """Show the new token, once; there is no page to come back to."""
    fields = await call.fields()
    scopes = [name.removeprefix(SCOPE) for name in fields if name.startswith(SCOPE)]
    given = {"service_account": call.path("id"), "scopes": scopes}
    if not scopes:
        form = FormState(fields, {"scopes": words("Choose at least one operation.")})
        return await _one(call, {ISSUE: form}, 422)
    if is_private(fields.get("key", "")):
        done = await call.submit(issue_token, secrets={"key"}, labels=LABELS, given=given)
    else:
        done = await call.submit(issue_token, labels=LABELS, given=given)
    if done.form:
        return await _one(call, {ISSUE: done.form}, done.status)
    issued: IssuedToken = done.answer
    return call.render("access/token.html", issued=issued, back=f"{BASE}/{call.path('id')}")


async def hand_over(call: Call) -> Response:
    done = await call.submit(hand_over_service_account, labels=LABELS, given={"id": call.path("id")})
    if done.form:
        return await _one(call, {OWNER: done.form}, done.status)
    return call.go(f"{BASE}/{call.path('id')}", HANDED)


async def rotate(call: Call) -> Response:
    """Show the new token, once, and how long the old one still works."""
    done = await call.submit(rotate_token, given={"id": call.path("token"), "days": in_force().token_days})
    if done.form:
        return call.go(f"{BASE}/{call.path('id')}", NOT_REVOKED)
    issued: IssuedToken = done.answer
    return call.render("access/token.html", issued=issued, back=f"{BASE}/{call.path('id')}")


async def end(call: Call) -> Response:
    done = await call.submit(end_service_account, given={"id": call.path("id")})
    return call.go(f"{BASE}/{call.path('id')}", NOT_ENDED if done.form else ENDED)


async def revoke(call: Call) -> Response:
    done = await call.submit(revoke_token, given={"id": call.path("token")})
    return call.go(f"{BASE}/{call.path('id')}", NOT_REVOKED if done.form else REVOKED)


def service_account_routes() -> tuple[Route, ...]:
    return (
        get(BASE, show_all, service_accounts),
        post(BASE, create, create_service_account),
        get(f"{BASE}/new", show_new, people),
        get(f"{BASE}/{{id}}", show_one, service_accounts),
        post(f"{BASE}/{{id}}/tokens", issue, issue_token),
        post(f"{BASE}/{{id}}/tokens/{{token}}/revoke", revoke, revoke_token),
        post(f"{BASE}/{{id}}/tokens/{{token}}/replace", rotate, rotate_token),
        post(f"{BASE}/{{id}}/owner", hand_over, hand_over_service_account),
        post(f"{BASE}/{{id}}/end", end, end_service_account),
    )


async def _new(call: Call, form: FormState, status: int = 200) -> Response:
    return call.render(
        "access/new_service_account.html", status, form=form, owners=await _owners(call), days=ACCOUNT_DAYS
    )


async def _owners(call: Call) -> list[tuple[str, str]]:
    team: Team = await call.perform(people, People())
    return [(person.id, f"{person.name} ({person.email})") for person in team.people if person.state != "closed"]


async def _one(call: Call, forms: dict[str, FormState], status: int = 200) -> Response:
    """`forms` are those to show again; each has ids of its own on the page."""
    may = enter(call)
    found: ServiceAccounts = await call.perform(service_accounts, ListServiceAccounts())
    account = _find(found, call.path("id"))
    active = account.state.value == "active" and min(account.expires_at, account.confirmed_until) > call.now
    scopes = [(item.name, item.summary) for item in catalogue.operations() if item.name in catalogue.scopes()]
    owners = await _owners(call) if active and hand_over_service_account.name in may else []
    handing = forms.get(OWNER, FormState())
    return call.render(
        "access/service_account.html", status, account=account, scopes=scopes, days=_token_days(), active=active,
        form=forms.get(ISSUE, FormState(values={"days": "30"})), must_bind=in_force().bound_tokens,
        owner_form=FormState(handing.values, handing.errors, handing.problem, f"{OWNER}-"),
        owners=[("", words("Choose a person")), *(item for item in owners if item[0] != account.owner)],
        may_issue=issue_token.name in may, may_end=end_service_account.name in may, now=call.now, short=short,
    )  # fmt: skip


def _token_days() -> list[tuple[str, str]]:
    longest = in_force().token_days
    found: list[tuple[str, str]] = [choice for choice in TOKEN_DAYS if int(choice[0]) <= longest]
    return found or [(str(longest), words("In %(days)s days", days=longest))]


def _find(found: ServiceAccounts, identifier: str) -> ServiceAccountRow:
    for account in found.accounts:
        if account.id == identifier:
            return account
    raise NotFound()
