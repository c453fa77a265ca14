"""Approvals and tasks through their pages and the API: what a person sees, keeps and presses."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from subscription_services.access import routes
from subscription_services.access.operations.approvals import OneRequest
from subscription_services.access.operations.tasks import AskTask
from subscription_services.access.tasks import About
from subscription_services.kernel.actors import Actor, Role
from subscription_services.kernel.settings import HouseSettings
from subscription_services.testing import World
from subscription_services.testing.approving import approve, ask, passkey_of, signature
from subscription_services.visitors import Front
from subscription_services.web.api import api_routes
from subscription_services.web.call import Navigation, Site, Visitor
from subscription_services.web.page import Person
from subscription_services.web.pages import toolkit_routes
from subscription_services.web.routes import RouteTable

from .granting import Release, runs, with_tasks

Asking = Callable[..., httpx.Response]
EXPORTS = "/team/log/exports/unmasked"


@pytest.fixture
def visit(house: World) -> Asking:
    """Ask a page or the API as an actor; fields make it a form, `json` a call of the API."""

    def visiting(actor: Actor, path: str, *, json: Any = None, **fields: str) -> httpx.Response:
        async def visitor(request: Any) -> Visitor:
            return Visitor(actor, Person("Tess Team"))

        site = Site(house.house.kernel, visitor, lambda found: Navigation(), Front(house.house.kernel).places)
        data = Path(house.house.settings.of(HouseSettings).data)
        registry = house.house.kernel.registry
        table = RouteTable(
            (*toolkit_routes(development=False), *routes(data), *api_routes(registry, product="x", version="1"))
        )

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(table.application(site))
            async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
                if json is not None:
                    return await client.post(path, json=json)
                return await (client.post(path, data=fields) if fields else client.get(path))

        answer = house.run(send())
        assert isinstance(answer, httpx.Response)
        return answer

    return visiting


def hidden(text: str) -> dict[str, str]:
    """The hidden fields of a page."""
    found = re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', text)
    return {name: html.unescape(value) for name, value in found}


def test_from_the_form_to_the_approval_and_back(house: World, visit: Asking) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    needed = visit(asker, EXPORTS, reason="to find the thief", action="identity.")
    assert needed.status_code == 403
    assert "Ask for approval" in needed.text
    assert "to find the thief" in needed.text  # what was typed is kept
    kept = {name: hidden(needed.text)[name] for name in ("operation", "arguments")}
    wrong = visit(asker, "/team/approvals", **kept, reason="")
    assert wrong.status_code == 422
    assert hidden(wrong.text)["arguments"] == kept["arguments"]
    page = visit(asker, "/team/approvals", **kept, reason="case 7").headers["location"]
    assert "0 of 1 approved" in visit(asker, page).text
    assert page in visit(other, "/team/approvals").text
    shown = visit(other, page).text
    assert "to find the thief" in shown
    assert 'href="/account/two-factor/passkey"' in shown  # nothing to press before there is something to sign with
    assert "shown" not in hidden(shown)
    unsigned = house.do("access.approval_request", other, OneRequest(page.rpartition("/")[2])).words.digest
    assert visit(other, f"{page}/approve", shown=unsigned).status_code == 403
    mine = passkey_of(house, other)
    shown = visit(other, page).text
    (challenge,) = re.findall(r'data-challenge="([A-Za-z0-9_-]{43})"', shown)
    signed = signature(mine, challenge)
    assert visit(other, f"{page}/approve", shown="0" * 64, **signed).status_code == 409
    assert visit(other, f"{page}/approve", shown=hidden(shown)["shown"], **signed).headers["location"] == page
    before = len(house.events("access.export_log_unmasked"))
    assert "Carry out" in visit(asker, page).text
    assert visit(asker, f"{page}/carry-out").status_code == 405  # looking at it never does it
    assert len(house.events("access.export_log_unmasked")) == before
    assert visit(asker, f"{page}/carry-out", idempotency_key="once").headers["location"] == page
    assert "Carried out" in visit(asker, page).text
    again = visit(asker, f"{page}/carry-out", idempotency_key="twice")
    assert again.status_code == 403
    assert len([event for event in house.events("access.export_log_unmasked") if event.outcome == "success"]) == 1


def test_nobody_carries_out_what_somebody_else_asked_for(house: World, visit: Asking) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    made = ask(house, asker, "access.test_release", Release(1))
    approve(house, other, made.id)
    page = f"/team/approvals/{made.id}"
    assert visit(other, f"{page}/carry-out", x="y").status_code == 404
    assert "Carry out" not in visit(other, page).text
    assert runs(house) == 0
    assert visit(asker, f"{page}/carry-out", x="y").status_code == 303
    assert runs(house) == 1


def test_a_program_is_told_which_operation_asks(house: World, visit: Asking) -> None:
    asker = house.team(Role.SECURITY)
    house.team(Role.SECURITY)
    refused = visit(asker, "/api/access.test_release", json={"number": 1})
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["solved_by"]) == (
        403, "approval-needed", "access.ask_approval",
    )  # fmt: skip
    made = visit(
        asker, problem["solved_by"].join(("/api/", "")),
        json={"operation": "access.test_release", "arguments": '{"number": 1}', "reason": "for a test"},
    )  # fmt: skip
    assert made.json()["words"]["title"] == "Release something, which takes somebody else."


def test_refusing_withdrawing_and_waiting_alone_by_page(house: World, visit: Asking) -> None:
    boss, helper = house.team(Role.ADMINISTRATOR), house.team(Role.SUPPORT)
    made = ask(house, boss, "access.test_release", Release(1))
    page = f"/team/approvals/{made.id}"
    alone = visit(helper, page).text
    assert "nobody who could approve this" in alone
    assert visit(helper, f"{page}/refuse", reason="").status_code == 422
    assert visit(helper, f"{page}/refuse", reason="I know nothing of it").status_code == 303
    assert "Refused" in visit(boss, page).text
    again = ask(house, boss, "access.test_release", Release(1))
    assert visit(boss, f"/team/approvals/{again.id}/withdraw", x="y").headers["location"] == "/team/approvals"


def test_a_task_from_asking_to_its_record(house: World, visit: Asking) -> None:
    holder, granter, person = house.team(Role.SUPPORT), house.team(Role.SECURITY), house.subscriber()
    fields = {"title": "Help with an invoice", "about_kind": "subscriber", "about": "ada", "role": "billing",
              "minutes": "30", "operations": "access.test_lent\naccess.test_look"}  # fmt: skip
    wrong = visit(holder, "/team/tasks/new", **fields)
    assert wrong.status_code == 422
    assert "Help with an invoice" in wrong.text
    assert "access.test_look" in wrong.text
    page = visit(holder, "/team/tasks/new", **{**fields, "about": person.id}).headers["location"]
    assert page in visit(granter, "/team/tasks").text
    assert visit(granter, f"{page}/grant", x="y").headers["location"] == page
    lent = with_tasks(house, holder)
    assert visit(lent, "/api/access.test_lent", json={"account": person.id}).status_code == 200
    record = visit(granter, page).text
    assert "access.test_lent" in record
    assert "/team/log/entries/evt_" in record
    assert visit(granter, f"{page}/revoke", reason="it is done").status_code == 303
    assert visit(lent, "/api/access.test_lent", json={"account": person.id}).status_code == 403
    assert visit(lent, f"{page}/close", x="y").status_code == 409


def test_the_console_counts_what_waits(house: World) -> None:
    from subscription_services.access import claims_of, team_navigation

    asker, other, helper = house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR), house.team(Role.SUPPORT)
    ask(house, asker, "access.test_release", Release(1))
    house.do("access.ask_task", helper, AskTask("Case 7", About.OTHER, "", Role.BILLING, 30))
    keys = house.house.ring.for_caller("access")

    def counts(account: str) -> tuple[int, int]:
        with house.house.store.reading() as connection:
            claims = claims_of(connection, keys, account, house.clock())
        return claims.approvals, claims.asked_tasks

    assert (counts(asker.id), counts(other.id), counts(helper.id)) == ((0, 1), (1, 1), (0, 0))
    links = team_navigation(other.roles, waiting={"/team/approvals": 1})
    assert [item.count for item in links if item.href == "/team/approvals"] == [1]
