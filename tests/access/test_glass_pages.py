"""The pages of the sealed second way: what a person sees, types and keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy import select
from starlette.requests import Request

from subscription_services import visitors
from subscription_services.access import LETTERS, routes
from subscription_services.access.operations.glass import OneGlass
from subscription_services.access.operations.tasks import OneTask
from subscription_services.access.pages.guide import groups_of, waiting_for
from subscription_services.identity.sessions import open_session
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Role, System, TeamMember
from subscription_services.kernel.settings import HouseSettings
from subscription_services.kernel.transaction import BoundOutbox, Transaction
from subscription_services.mail import Letter, SiteFacts
from subscription_services.testing import World
from subscription_services.testing.approving import approve
from subscription_services.web.call import Navigation, Site, Visitor
from subscription_services.web.page import NavItem, Person
from subscription_services.web.pages import toolkit_routes
from subscription_services.web.routes import RouteTable

from .granting import signed_in_again
from .test_approval_pages import hidden, visit

__all__ = ["visit"]
Asking = Callable[..., httpx.Response]
PAGE = "/team/glass"
CODE = re.compile(r"<code>([a-z2-7-]{29})</code>")


def seal(house: World, visit: Asking, sealer: TeamMember, other: TeamMember) -> str:
    """From the button over the request for approval to the code, which is shown once."""
    needed = visit(sealer, f"{PAGE}/seal", x="")
    assert needed.status_code == 403
    kept = {name: hidden(needed.text)[name] for name in ("operation", "arguments")}
    request = visit(sealer, "/team/approvals", **kept, reason="the first envelope").headers["location"]
    approve(house, other, request.rpartition("/")[2])
    shown = visit(sealer, f"{request}/carry-out", x="")
    assert shown.status_code == 200
    found = CODE.search(shown.text)
    assert found is not None
    assert found[1] not in visit(sealer, PAGE).text
    return found[1]


def test_from_the_envelope_to_the_closed_review(house: World, visit: Asking) -> None:
    boss, other, someone = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY), house.team(Role.OPERATIONS)
    assert "No sealed code" in visit(boss, PAGE).text
    assert "Break the glass" not in visit(someone, PAGE).text
    code = seal(house, visit, boss, other)
    assert f'href="{PAGE}/break"' in visit(someone, PAGE).text
    wrong = visit(someone, f"{PAGE}/break", code="x", title="short", about_kind="other", role="billing", minutes="60",
                  operations="access.test_look")  # fmt: skip
    assert wrong.status_code == 422
    assert 'value="short"' in wrong.text
    assert "access.test_look" in wrong.text
    assert 'value="x"' not in wrong.text  # a secret is typed again
    typed = {"title": "Nobody answers, mail is down", "about_kind": "other", "role": "billing", "minutes": "60"}
    refused = visit(someone, f"{PAGE}/break", **typed, code="aaaa-bbbb-cccc-dddd")
    assert refused.status_code == 403
    assert "This is not the sealed code" in refused.text
    page = visit(someone, f"{PAGE}/break", **typed, code=code).headers["location"]
    shown = visit(someone, page).text
    assert "Nobody answers, mail is down" in shown
    assert "Open now" in shown
    identifier = page.rpartition("/")[2]
    lent = house.do("access.glass_record", someone, OneGlass(identifier)).broken.task
    assert "The glass was broken" in visit(other, f"/team/tasks/{lent.id}").text
    house.do("access.close_task", someone, OneTask(lent.id))
    unfinished = visit(other, f"{page}/close", findings="too short", verdict="right")
    assert unfinished.status_code == 422
    assert "too short" in unfinished.text
    findings = "One mail was sent again, as it had to be."
    assert visit(other, f"{page}/close", findings=findings, verdict="right").status_code == 303
    assert findings in visit(boss, page).text
    assert "It was right" in visit(boss, PAGE).text


def test_who_signed_in_a_while_ago_proves_themselves_before_typing(house: World, visit: Asking) -> None:
    someone, clerk = house.team(Role.OPERATIONS), house.team(Role.SUPPORT)
    assert visit(someone, f"{PAGE}/break").status_code == 200
    assert visit(clerk, f"{PAGE}/break").status_code == 404
    house.clock.advance(minutes=2)
    answer = visit(someone, f"{PAGE}/break")
    assert answer.status_code in (302, 303)
    assert answer.headers["location"].startswith("/confirm")


def test_the_overview_says_what_waits(house: World) -> None:
    member = house.team(Role.SECURITY)

    async def visitor(request: Any) -> Visitor:
        return Visitor(member, Person("Tess Team"), waiting={"/team/glass": 2, "/team/approvals": 1, "/team/keys": 3})

    site = Site(house.house.kernel, visitor, lambda found: Navigation())
    table = RouteTable((*toolkit_routes(development=False), *routes(Path(house.house.settings.of(HouseSettings).data))))

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(table.application(site))
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            return await client.get("/team")

    page = house.run(send()).text
    assert "2 broken glasses wait for a review" in page
    assert "1 request waits for your approval" in page
    assert "Keys: 3" in page
    assert "the sealed code, and the review afterwards" in page


def test_a_clerk_sees_that_it_was_broken_and_not_why(house: World, visit: Asking) -> None:
    boss, other, someone = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY), house.team(Role.OPERATIONS)
    code = seal(house, visit, boss, other)
    typed = {"title": "About Ada Example", "about_kind": "other", "role": "billing", "minutes": "30", "code": code}
    page = visit(someone, f"{PAGE}/break", **typed).headers["location"]
    clerk = house.team(Role.SUPPORT)
    seen = visit(clerk, PAGE).text
    assert "Tess Team" in seen
    assert "Ada Example" not in seen
    assert visit(clerk, page).status_code == 404


def test_every_page_of_the_team_says_so_until_it_is_reviewed(house: World, visit: Asking) -> None:
    boss, other, someone = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY), house.team(Role.OPERATIONS)
    assert alarms(house, other) == ()
    code = seal(house, visit, boss, other)
    typed = {"title": "Nobody answers, mail is down", "about_kind": "other", "role": "billing", "minutes": "30"}
    page = visit(someone, f"{PAGE}/break", **typed, code=code).headers["location"]
    assert alarms(house, other) == (visitors.GLASS,)
    assert alarms(house, house.team()) == (visitors.GLASS_TOLD,)
    house.clock.advance(minutes=31)  # it is over, and not reviewed
    assert alarms(house, other) == (visitors.GLASS,)
    other = replace(other, **signed_in_again(house, other))
    visit(other, f"{page}/close", findings="Nothing but what was needed.", verdict="right")
    assert alarms(house, other) == ()


def alarms(house: World, member: TeamMember) -> tuple[Any, ...]:
    """What stands on top of each of their pages, in a session of its own."""
    ctx = house.house.kernel.context(System("testing"))

    def lay(connection: Any) -> str:
        outbox = BoundOutbox(connection, house.house.outbox, ctx.now)
        tx = Transaction(connection, house.house.ring.for_caller("identity"), outbox)
        return open_session(tx, ctx, member.id, second_factor=True)[1]

    headers = [(b"authorization", f"Bearer {house.write(lay)}".encode())]
    request = Request(
        {"type": "http", "method": "GET", "path": "/team", "headers": headers, "client": ("127.0.0.9", 1)}
    )
    found: Visitor = house.run(visitors.Front(house.house.kernel).visitor(request))
    assert found.actor.id == member.id
    return found.alarms


def letter_of(house: World, name: str) -> Letter:
    """The newest letter of this name, as it would be sent."""
    with house.house.store.reading() as connection:
        rows = list(connection.execute(select(job.c.payload)).scalars())
    wanted = next(json.loads(row) for row in rows if name in str(row))
    kind = next(item for item in LETTERS if item.name == name)
    site = SiteFacts("https://localhost", "Subscriptions", "support@example.org")
    found = house.run(kind.compose(house.house.kernel, site, wanted["account"], wanted["values"]))
    assert isinstance(found, Letter)
    return found


@pytest.mark.parametrize("name", ["access.glass_broken", "access.glass_sealed", "access.glass_wrong_code"])
def test_letters_say_who_and_lead_to_the_page(house: World, visit: Asking, name: str) -> None:
    boss, other, someone = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY), house.team(Role.OPERATIONS)
    code = seal(house, visit, boss, other)
    typed = {"title": "Nobody answers, mail is down", "about_kind": "other", "role": "billing", "minutes": "30"}
    visit(someone, f"{PAGE}/break", **typed, code="aaaa-bbbb-cccc-dddd")
    visit(someone, f"{PAGE}/break", **typed, code=code)
    letter = letter_of(house, name)
    assert "Tess Team" in letter.text
    assert f"{PAGE}" in letter.text
    assert code not in letter.text


def test_the_first_page_says_what_waits_and_what_each_page_is_for() -> None:
    links = [NavItem("Tasks", "/team/tasks", "clock"), NavItem("Approvals", "/team/approvals", "check"),
             NavItem("Something new", "/team/new", "box")]  # fmt: skip
    waits = waiting_for(links, {"/team/tasks": 2, "/team/approvals": 0, "/team/new": 1, "/team/keys": 4})
    assert [(item.href, str(item.text)) for item in waits] == [
        ("/team/tasks", "2 people ask for more access, for a task"), ("/team/new", "Something new: 1"),
    ]  # fmt: skip
    groups = groups_of(links)
    assert [[item.href for item, _ in group.links] for group in groups] == [
        ["/team/tasks", "/team/approvals"], ["/team/new"],
    ]  # fmt: skip
