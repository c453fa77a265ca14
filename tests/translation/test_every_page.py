"""Every page in a language of brackets: what stands outside them was said without a name, and no catalogue has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import httpx
import pytest

from subscription_services.billing.requests import StartCheckout
from subscription_services.kernel.actors import Actor, Anonymous, Role, Subscriber, TeamMember
from subscription_services.kernel.words import Language
from subscription_services.messages import texts
from subscription_services.subscriptions.requests import ListPlans
from subscription_services.testing import World
from subscription_services.web.call import Visitor
from subscription_services.web.languages import LANGUAGES
from subscription_services.web.page import Person

from .pseudo import CODE, outside, pseudo_language

Read = Callable[..., httpx.Response]
EVERY_ROLE = tuple(Role)
LINK = "x" * 43
STRANGERS = (
    "/", "/plans", "/security", "/security/promises/transit.tls13", "/security/promises/none", "/log", "/sign-in",
    "/sign-up", "/sign-up/sent", "/verify", f"/verify?token={LINK}", "/enrol", f"/enrol?token={LINK}", "/forgot",
    "/forgot/sent", "/reset", f"/reset?token={LINK}", "/locked", "/locked/sent", "/unlock", f"/unlock?token={LINK}",
    "/sign-in/code", "/recover", "/sign-in/team", "/nowhere", "/problems", "/problems/refused", "/session/renew",
)  # fmt: skip
SUBSCRIBERS = (
    "/account", "/account/profile", "/account/password", "/account/close", "/account/two-factor",
    "/account/two-factor/set-up", "/account/two-factor/passkey", "/account/email",
    "/account/devices", "/account/activity", "/account/activity?after=1",
    "/account/payment-methods", "/plans", "/subscriptions", "/invoices", "/confirm", "/team",
)  # fmt: skip
TEAM = (
    "/team", "/team/people", "/team/people/invite", "/team/find", "/team/recoveries",
    "/team/log", "/team/log?actor=nobody",
    "/team/log?since=never", "/team/log/exports", "/team/service-accounts", "/team/service-accounts/new", "/team/keys",
    "/team/keys/purposes/subject", "/team/keys/re-encryption", "/team/mail", "/account/two-factor", "/account/profile",
    "/account/devices", "/account/activity", "/team/approvals", "/team/tasks", "/team/tasks/new", "/team/deployments",
    "/team/unused", "/team/unmask/acc_0193a1",
)  # fmt: skip
# path, what is typed: each comes back with errors
MISTAKES: tuple[tuple[str, dict[str, str]], ...] = (
    ("/sign-up", {}), ("/sign-up", {"name": "Ada", "email": "nonsense", "password": "short"}),
    ("/sign-in", {"email": "a@example.org", "password": "wrong"}), ("/forgot", {}), ("/locked", {"email": "no"}),
    ("/enrol", {"token": LINK, "password": "correct horse battery"}), ("/verify", {"token": LINK}),
)  # fmt: skip


@pytest.fixture
def engine() -> str:
    """The pages are the same on both engines."""
    return "sqlite"


@cache
def brackets() -> Language:
    return pseudo_language(texts())


@pytest.fixture
def read(world: World, monkeypatch: pytest.MonkeyPatch) -> Read:
    """`read(actor, path)` or `read(actor, path, field="typed")`, by a person whose browser asks for that language."""
    monkeypatch.setitem(LANGUAGES, CODE, brackets())

    def reading(actor: Actor, path: str, **fields: str) -> httpx.Response:
        async def visitor(request: Any) -> Visitor:
            return Visitor() if isinstance(actor, Anonymous) else Visitor(actor, Person("Ada Example", "who@home"))

        application = world.house.routes.application(replace(world.house.site, visitor=visitor))

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(application)
            headers = {"Accept": "text/html", "Accept-Language": f"xx, {CODE};q=0.9, en;q=0.5"}
            async with httpx.AsyncClient(transport=transport, base_url="https://localhost", headers=headers) as client:
                return await (client.post(path, data=fields) if fields else client.get(path))

        found = world.run(send())
        assert isinstance(found, httpx.Response)
        return found

    return reading


DATA = (
    "Subscription Services", "Ada Example", "who@home", "a…@e….org", "Subscriber", "Tess Team", "AE",
    "PDF", "localhost", "Light", "Standard", "Large", "RFC 9457", "API", "Authenticator app",
)  # fmt: skip


def left_in(page: httpx.Response, world: World, *more: str) -> list[str]:
    """What the page says outside brackets."""
    assert page.headers["content-language"] == CODE, page.text[:300]
    assert f'<html lang="{CODE}">' in page.text
    plans = world.do("subscriptions.plans", world.system(), ListPlans()).plans
    of_plans = [text for plan in plans for text in (plan.name, plan.description, *plan.features)]
    return outside(page.text, (*DATA, *of_plans, *more))


@pytest.mark.parametrize("path", STRANGERS)
def test_pages_of_strangers(world: World, read: Read, path: str) -> None:
    page = read(Anonymous(), path)
    if page.status_code != 303:
        assert left_in(page, world) == []


@pytest.mark.parametrize(("path", "typed"), MISTAKES, ids=lambda part: str(part)[:30])
def test_pages_that_say_what_is_wrong(world: World, read: Read, path: str, typed: dict[str, str]) -> None:
    page = read(Anonymous(), path, **(typed or {"nothing": ""}))
    assert page.status_code >= 400
    assert left_in(page, world) == []


def test_pages_of_a_subscriber(world: World, read: Read) -> None:
    ada = world.subscriber("ada@example.org")
    plans = world.do("subscriptions.plans", ada, ListPlans()).plans
    started = world.do("billing.start_checkout", ada, StartCheckout(plans[0].id))
    (invoice,) = world.do("billing.invoices", ada, _nothing("billing.invoices", world)).invoices
    named = (
        f"/subscribe?plan={plans[1].id}", f"/checkout/{started.payment}", f"/subscriptions/{started.subscription}",
        f"/subscriptions/{started.subscription}/cancel", f"/invoices/{invoice.id}", f"/invoices/inv_{'0' * 32}",
    )  # fmt: skip
    # an invoice is a document: its lines and its number stay as they were issued
    issued = (invoice.number or "draft", "Light, 2 March 2026 to 2 April 2026")
    wrong = [f"{path}: {text}" for path in (*SUBSCRIBERS, *named) for text in _left(world, read, ada, path, *issued)]
    assert wrong == [], "not in brackets:\n" + "\n".join(wrong)


def test_pages_of_the_team(world: World, read: Read) -> None:
    tess = world.team(*EVERY_ROLE)
    other = world.team(Role.SUPPORT)
    named = (f"/team/people/{other.id}",)
    wrong = [f"{path}: {text}" for path in (*TEAM, *named) for text in _left(world, read, tess, path)]
    wrong.remove("/team/keys/purposes/subject: subject")  # the name of a purpose
    assert wrong == [], "not in brackets:\n" + "\n".join(wrong)


def test_pages_that_hold_something_and_forms_that_are_wrong(world: World, read: Read) -> None:
    tess, ada = world.team(*EVERY_ROLE), world.subscriber("ada@example.org")
    wrong: list[str] = []

    def look(actor: Subscriber | TeamMember, path: str, **fields: str) -> httpx.Response:
        page = read(actor, path, **fields)
        if page.status_code != 303:
            wrong.extend(f"{path} {fields}: {text}" for text in left_in(page, world, "Nightly export", "Tess Team"))
        return page

    made = look(tess, "/team/service-accounts", name="Nightly export", owner=tess.id, days="90").headers["location"]
    look(tess, made)
    look(tess, f"{made}/tokens", days="30")
    look(tess, f"{made}/tokens", days="30", **{"scope:access.audit_log": "true"})
    look(tess, made)
    look(tess, "/team/service-accounts")
    look(tess, "/team/service-accounts", name="", owner="nobody", days="x")
    look(tess, "/team/people/invite", name="", email="no", role="none", reason="")
    look(tess, "/team/find", who="", reason="")
    look(tess, "/team/find", who="nobody@example.org", reason="a case")
    look(tess, "/team/find", who="ada@example.org", reason="a case")
    look(tess, "/team/log/origin", address="nowhere")
    look(tess, "/team/keys/re-encryption", purpose="none")
    look(tess, read(tess, "/team/log/exports", form="ocsf").headers["location"])
    look(tess, "/team/tasks/new", title="", about_kind="", role="", minutes="")
    asked = {"title": "Nightly export", "about_kind": "other", "about": "", "role": "billing", "minutes": "30"}
    task = look(tess, "/team/tasks/new", **asked).headers["location"]
    look(tess, task)
    look(tess, "/team/tasks")
    look(tess, "/team/log/exports")
    look(ada, "/account/profile", name="")
    look(ada, "/account/password", current="wrong password", password="short")
    look(ada, "/account/devices/idle", minutes="100000")
    look(ada, "/account/two-factor/start", nothing="")
    look(ada, "/account/two-factor/set-up")
    look(ada, "/account/two-factor/confirm", code="000000")
    look(ada, "/confirm", password="wrong password")
    look(ada, "/account/billing-details", name="x" * 200)
    look(ada, "/subscribe", plan="")
    assert wrong == [], "not in brackets:\n" + "\n".join(wrong)


def test_a_problem_of_the_api_is_in_the_reader_s_language(world: World, read: Read) -> None:
    answer = read(Anonymous(), "/api/identity.profile")
    assert answer.headers["content-language"] == CODE
    assert answer.json()["title"] == "⟦Please sign in⟧"
    assert answer.json()["code"] == "not-signed-in"


def _left(world: World, read: Read, actor: Subscriber | TeamMember, path: str, *data: str) -> list[str]:
    page = read(actor, path)
    return left_in(page, world, *data) if page.status_code != 303 else []


def _nothing(name: str, world: World) -> Any:
    found = world.house.kernel.registry.get(name)
    assert found is not None
    return found.request()
