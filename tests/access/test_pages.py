"""The team console through the whole application: who comes in, what is offered, what a form answers."""

from __future__ import annotations

import gzip
import html
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from subscription_services.access import routes
from subscription_services.kernel.actors import Actor, Anonymous, Role
from subscription_services.kernel.context import Origin
from subscription_services.kernel.settings import HouseSettings
from subscription_services.ledger.sequencer import sequence
from subscription_services.testing import World
from subscription_services.testing.approving import approve
from subscription_services.web.call import Navigation, Site, Visitor
from subscription_services.web.page import Person
from subscription_services.web.pages import toolkit_routes
from subscription_services.web.routes import RouteTable

Asking = Callable[..., httpx.Response]
OWN = {"/team", "/team/approvals", "/team/tasks", "/team/tasks/new", "/team/powers"}
"""Pages of what is one's own, also for somebody without a role."""
PAGES = ["/team", "/team/people", "/team/people/invite", "/team/find", "/team/log", "/team/log/exports",
         "/team/service-accounts", "/team/service-accounts/new", "/team/recoveries", "/team/operations",
         "/team/operations/access.people", "/team/unused", "/team/deployments", "/team/foresight",
         *sorted(OWN - {"/team"})]  # fmt: skip
PLACES = {"not-signed-in": "/sign-in", "second-factor-needed": "/account/two-factor", "step-up-needed": "/confirm",
          "approval-needed": "/team/approvals"}  # fmt: skip


@pytest.fixture
def engine() -> str:
    """The pages are the same on both engines; what they do is tested on both elsewhere."""
    return "sqlite"


@pytest.fixture
def ask(world: World) -> Asking:
    """Ask a page as an actor: `ask(actor, path)` or `ask(actor, path, field="value")` for a POST."""

    def asking(actor: Actor, path: str, **fields: str) -> httpx.Response:
        async def visitor(request: Any) -> Visitor:
            return Visitor() if isinstance(actor, Anonymous) else Visitor(actor, Person("Tess Team"))

        site = Site(world.house.kernel, visitor, lambda found: Navigation(), PLACES)
        application = RouteTable(
            (*toolkit_routes(development=False), *routes(Path(world.house.settings.of(HouseSettings).data)))
        ).application(site)

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
                return await (client.post(path, data=fields) if fields else client.get(path))

        answer: Awaitable[httpx.Response] = send()
        found = world.run(answer)
        assert isinstance(found, httpx.Response)
        return found

    return asking


@pytest.mark.parametrize("path", PAGES)
def test_strangers_sign_in_first_and_subscribers_find_nothing(world: World, ask: Asking, path: str) -> None:
    assert ask(Anonymous(), path).headers["location"].startswith("/sign-in?next=/team")
    assert ask(world.subscriber(), path).status_code == 404


@pytest.mark.parametrize("path", PAGES)
def test_a_team_member_sets_up_the_second_factor_before_anything_else(world: World, ask: Asking, path: str) -> None:
    from msgspec.structs import replace

    bare = replace(world.team(Role.ADMINISTRATOR), second_factor=False)
    assert ask(bare, path).headers["location"].startswith("/account/two-factor?next=/team")


@pytest.mark.parametrize("path", PAGES)
def test_an_administrator_sees_every_page_and_somebody_without_role_only_their_own(
    world: World, ask: Asking, path: str
) -> None:
    assert ask(world.team(Role.ADMINISTRATOR), path).status_code == 200
    nobody = ask(world.team(), path)
    if path == "/team/find":  # an empty form; looking somebody up is refused
        nobody = ask(world.team(), "/team/find", who="ada@example.org", reason="case")
    assert nobody.status_code == (200 if path in OWN else 403)


def test_an_invitation_by_form(world: World, ask: Asking) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    wrong = ask(boss, "/team/people/invite", name="New Person", email="", role="support", reason="helps")
    assert wrong.status_code == 422
    assert 'value="New Person"' in wrong.text
    assert "Enter an e-mail address" in wrong.text
    fields = {"name": "New Person", "email": "new@example.org", "role": "support", "reason": "helps"}
    assert ask(boss, "/team/people/invite", **fields).status_code == 303
    assert "New Person" in ask(boss, "/team/people").text
    assert ask(world.team(Role.AUDITOR), "/team/people/invite", **fields).status_code == 403


def test_an_invitation_asks_for_the_role_too(world: World, ask: Asking) -> None:
    boss, other = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR)
    fields = {"name": "New Person", "email": "new@example.org", "role": "support"}
    wrong = ask(boss, "/team/people/invite", **fields, reason="")
    assert wrong.status_code == 422
    assert "Enter a reason" in wrong.text
    assert 'value="new@example.org"' in wrong.text
    request = ask(boss, "/team/people/invite", **fields, reason="helps subscribers").headers["location"]
    assert request.startswith("/team/approvals/apq_")
    assert "New Person (acc_" in ask(other, request).text
    approve(world, other, request.rpartition("/")[2])
    assert ask(boss, f"{request}/carry-out", idempotency_key="k").status_code == 303
    assert "Support" in ask(boss, "/team/people").text


def test_a_single_administrator_is_told_what_that_means(world: World, ask: Asking) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    world.team(Role.SECURITY)
    for path in ("/team", "/team/people"):
        assert "nobody else who could approve" in ask(boss, path).text
    fields = {"name": "New Person", "email": "new@example.org", "role": "support", "reason": "helps"}
    request = ask(boss, "/team/people/invite", **fields).headers["location"]
    page = ask(boss, request).text
    assert "So it waits instead" in page
    assert "seconds only" not in page
    world.team(Role.ADMINISTRATOR)
    for path in ("/team", "/team/people"):
        assert "nobody else who could approve" not in ask(boss, path).text


def test_a_role_is_given_and_ended_by_form(world: World, ask: Asking) -> None:
    boss, member = world.team(Role.ADMINISTRATOR), world.team()
    page = f"/team/people/{member.id}"
    assert ask(boss, f"{page}/roles", role="", reason="helps").status_code == 422
    fields = {"role": "support", "reason": "helps", "days": "7"}
    asked = ask(boss, f"{page}/roles", **fields)
    assert asked.status_code == 403
    assert "This needs approval" in asked.text
    other = world.team(Role.ADMINISTRATOR)
    arguments = html.unescape(re.findall(r'name="arguments" value="([^"]+)"', asked.text)[0])
    asked = ask(boss, "/team/approvals", operation="access.grant_role", arguments=arguments, reason="helps")
    request = asked.headers["location"]
    assert member.id in ask(other, request).text
    approve(world, other, request.rpartition("/")[2])
    assert ask(boss, f"{request}/carry-out", **{"": ""}).status_code == 303
    found = re.search(rf'action="({page}/grants/grt_[0-9a-f]+/end)"', ask(boss, page).text)
    assert found is not None
    assert ask(boss, found.group(1), reason="").status_code == 422
    assert ask(boss, found.group(1), reason="moved on").status_code == 303
    assert "grt_" not in ask(boss, page).text


def test_a_token_is_shown_once_and_then_never(world: World, ask: Asking) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    made = ask(boss, "/team/service-accounts", name="Log export", owner=boss.id, days="90")
    page = made.headers["location"]
    assert ask(boss, f"{page}/tokens", days="7").status_code == 422
    shown = ask(boss, f"{page}/tokens", days="7", **{"scope:access.audit_log": "true"})
    tokens = re.findall(r"subs_sa_[0-9A-Za-z]{49}", shown.text)
    assert len(set(tokens)) == 1
    again = ask(boss, page).text
    assert "access.audit_log" in again
    assert tokens[0] not in again
    replace = re.search(rf'action="({page}/tokens/tok_[0-9a-f]+/replace)"', again)
    assert replace is not None
    replaced = ask(boss, replace.group(1), x="y").text
    fresh = re.findall(r"subs_sa_[0-9A-Za-z]{49}", replaced)
    assert len(set(fresh)) == 1
    assert fresh[0] != tokens[0]
    assert "The token before works until" in replaced
    assert ask(boss, "/team/service-accounts", name="Log export", owner=boss.id, days="90").status_code == 409


def test_finding_a_subscriber_is_recorded_with_who_looked(world: World, ask: Asking) -> None:
    helper, person = world.team(Role.SUPPORT), world.subscriber("ada@example.org")
    found = ask(helper, "/team/find", who="ada@example.org", reason="case 1")
    assert found.status_code == 200
    assert person.id in found.text
    assert "Subscriptions" in found.text
    event = world.events("identity.find_person")[-1]
    assert (event.actor, event.subject) == (helper.id, person.id)
    assert ask(helper, "/team/find", who="nobody@example.org", reason="case 1").status_code == 404
    assert ask(helper, "/team/find", who="ada@example.org", reason="").status_code == 422


@pytest.mark.parametrize(
    ("query", "status"),
    [("outcome=refused", 200), ("since=2026-03-02", 200), ("since=2026-03-02T09:30", 200), ("since=never", 422),
     ("actor=a@b", 422), ("outcome=x", 422), ("after=x", 422), ("limit=1", 200)],
)  # fmt: skip
def test_the_log_is_searched_by_query(world: World, ask: Asking, query: str, status: int) -> None:
    assert ask(world.team(Role.AUDITOR), f"/team/log?{query}").status_code == status


def test_a_page_of_the_log_leads_to_the_next(world: World, ask: Asking) -> None:
    auditor = world.team(Role.AUDITOR)
    for _ in range(60):
        world.do("access.people", auditor, _people(), origin=Origin())
    first = ask(auditor, "/team/log?action=access.people").text
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = ask(auditor, older.group(1).replace("&amp;", "&")).text
    assert second.count('<a href="/team/log?action=access.people">') == 10


def _people() -> Any:
    from subscription_services.access.operations.people import People

    return People()


def test_an_entry_has_a_page_of_its_own_with_its_proof(world: World, ask: Asking) -> None:
    auditor = world.team(Role.AUDITOR)
    world.do("access.people", auditor, _people())
    event = world.events("access.people")[-1]
    path = f"/team/log/entries/{event.id}"
    assert f'href="{path}"' in ask(auditor, "/team/log?action=access.people").text
    assert ask(auditor, f"{path}/proof").status_code == 404
    world.run(sequence(world.house.store, world.house.log, world.clock))
    assert f'href="{path}/proof"' in ask(auditor, path).text
    assert ask(auditor, f"{path}/proof").text.startswith("c2sp.org/tlog-proof@v1\nextra ")
    assert ask(world.team(Role.SUPPORT), path).status_code == 403


def test_an_export_is_asked_for_followed_and_downloaded(world: World, ask: Asking) -> None:
    auditor = world.team(Role.AUDITOR)
    asked = ask(auditor, "/team/log/exports", form="ocsf", action="identity.")
    page = asked.headers["location"]
    assert "being made" in ask(auditor, page).text
    assert ask(auditor, f"{page}/file").status_code == 409
    world.run(sequence(world.house.store, world.house.log, world.clock))
    world.run_jobs()
    assert f'href="{page}/file"' in ask(auditor, page).text
    content = ask(auditor, f"{page}/file").content
    assert all(b'"class_uid":' in line for line in gzip.decompress(content).splitlines())
    assert page in ask(auditor, "/team/log/exports").text
    assert ask(auditor, "/team/log/exports", form="ocsf", subject="a@b").status_code == 422


def test_an_address_is_searched_for_without_standing_in_the_pages_own(world: World, ask: Asking) -> None:
    auditor = world.team(Role.AUDITOR)
    world.do("access.people", auditor, _people(), origin=Origin(address="192.0.2.7"))
    found = ask(auditor, "/team/log/origin", address="192.0.2.7", action="access.people").headers["location"]
    assert "192.0.2.7" not in found
    assert "action=access.people&origin=" in found
    assert ask(auditor, found).text.count('<a href="/team/log?action=access.people">') == 1
    assert ask(auditor, "/team/log/origin", address="nowhere").status_code == 422
    assert "192.0.2.7" not in str(world.events())
