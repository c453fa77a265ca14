"""The team's page of the keys, in a real browser and by its forms."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import Route, async_playwright
from starlette.requests import Request

from subscription_services.access import team_navigation
from subscription_services.kernel.actors import Actor, Anonymous, Role
from subscription_services.keys import pages
from subscription_services.keys.operations import backup, reencryption, rotation
from subscription_services.testing import World
from subscription_services.web.call import Navigation, Site, Visitor
from subscription_services.web.page import Person
from subscription_services.web.pages import toolkit_routes
from subscription_services.web.routes import Application, RouteTable
from tests.seeing import judged_later

PICTURES = os.environ.get("KEYS_PICTURES", "")
PLACES = {"not-signed-in": "/sign-in", "step-up-needed": "/confirm", "second-factor-needed": "/account/two-factor"}
Asking = Callable[..., httpx.Response]


@pytest.fixture
def engine() -> str:
    """A page looks the same on each store."""
    return "sqlite"


def application(world: World, actor: Actor) -> Application:
    async def visitor(request: Request) -> Visitor:
        return Visitor() if isinstance(actor, Anonymous) else Visitor(actor, Person("Tia Team", "Operations"))

    links = Navigation(main=team_navigation(getattr(actor, "roles", ())))
    site = Site(world.house.kernel, visitor, lambda found: links, PLACES)
    return RouteTable((*pages.routes(), *toolkit_routes(development=False))).application(site)


@pytest.fixture
def ask(world: World) -> Asking:
    """`ask(actor, path)`, or `ask(actor, path, field="value")` for a POST."""

    def asking(actor: Actor, path: str, **fields: str) -> httpx.Response:
        app = application(world, actor)

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
                return await (client.post(path, data=fields) if fields else client.get(path))

        found = world.run(send())
        assert isinstance(found, httpx.Response)
        return found

    return asking


def filled(world: World) -> None:
    world.subscriber()
    world.house.ring.for_caller("keys").backup()


@pytest.mark.parametrize("role", list(Role))
def test_who_sees_the_page(world: World, ask: Asking, role: Role) -> None:
    wanted = 200 if role in rotation.READERS else 403
    member = world.team(role)
    filled(world)
    assert ask(member, "/team/keys").status_code == wanted
    assert ("/team/keys" in [item.href for item in team_navigation(member.roles)]) == (wanted == 200)
    for path in ("/team/keys/purposes/subject", "/team/keys/purposes/subject/progress"):
        assert ask(member, path).status_code == wanted
    rotated = ask(member, "/team/keys/rotate", purpose="subject")
    assert rotated.status_code == (303 if role in rotation.OWNERS else 403)
    made = ask(member, "/team/keys/backup", now="1")
    assert made.status_code == (303 if role in backup.KEEPERS else 403)
    if wanted == 200:
        assert ("Back up now" in ask(member, "/team/keys").text) == (role in backup.KEEPERS)
        assert ("Rotate now" in ask(member, "/team/keys/purposes/subject").text) == (role in rotation.OWNERS)


def test_strangers_sign_in_and_subscribers_are_refused(world: World, ask: Asking) -> None:
    assert ask(Anonymous(), "/team/keys").headers["location"].startswith("/sign-in?next=/team/keys")
    assert ask(world.subscriber(), "/team/keys").status_code == 403


def test_rotation_on_demand_shows_how_the_data_keys_follow(world: World, ask: Asking) -> None:
    filled(world)
    member = world.team(Role.SECURITY)
    page = "/team/keys/purposes/subject"
    assert ask(member, f"{page}/progress").json() == {"next": page}
    for _ in range(2):  # a double press is one rotation
        done = ask(member, "/team/keys/rotate", purpose="subject", after="1")
        assert (done.status_code, done.headers["location"]) == (303, page)
    shown = ask(member, page).text
    assert "Wrapping data keys of subject under version 2: 0 of" in shown
    assert f'data-poll="{page}/progress"' in shown and f'href="{page}"' in shown
    state = ask(member, f"{page}/progress").json()
    assert state["value"] == 0 and state["max"] >= 2
    assert "Under way" in ask(member, "/team/keys").text
    world.run_jobs()
    assert ask(member, f"{page}/progress").json() == {"next": page}
    shown = ask(member, page).text
    assert "data keys were wrapped under version 2" in shown and "Under way" not in shown
    assert {event.actor for event in world.events("keys.rotate")} == {member.id}


def test_a_re_encryption_is_started_by_form_and_followed(world: World, ask: Asking) -> None:
    filled(world)
    person = world.subscriber()
    assert "None so far" in ask(world.team(Role.OPERATIONS), "/team/keys/re-encryption").text
    page = "/team/keys/re-encryption"
    member = world.team(Role.SECURITY)
    wrong = ask(member, page, subject="acc_nobody", purpose="subject")
    assert wrong.status_code == 422 and 'value="acc_nobody"' in wrong.text
    assert ask(world.team(Role.OPERATIONS), page, subject=person.id, purpose="subject").status_code == 403
    done = ask(member, page, subject=person.id, purpose="subject")
    assert (done.status_code, done.headers["location"]) == (303, page)
    found = re.search(rf'data-poll="({page}/ren_[0-9a-f]+/progress)"', ask(member, page).text)
    assert found
    state = ask(member, found[1]).json()
    assert 0 <= state["value"] < state["max"]
    world.run_jobs()
    world.clock.advance(minutes=2)
    world.run_jobs()
    assert ask(member, found[1]).json() == {"next": page}
    assert "Under way" not in ask(member, page).text
    world.clock.advance(minutes=20)
    again = ask(member, page, subject=person.id, purpose="subject")
    assert again.status_code == 401 and "/confirm" in again.text


def test_a_purpose_that_is_not_there(world: World, ask: Asking) -> None:
    member = world.team(Role.SECURITY)
    assert ask(member, "/team/keys/purposes/nothing").status_code == 404
    assert ask(member, "/team/keys/purposes/nothing/progress").status_code == 404
    assert ask(member, "/team/keys/rotate", purpose="nothing").status_code in (404, 422)
    assert ask(member, "/team/keys/rotate", purpose="subject", after="x").status_code == 422


def test_back_up_now(world: World, ask: Asking) -> None:
    member = world.team(Role.OPERATIONS)
    assert "No backup yet" in ask(member, "/team/keys").text
    done = ask(member, "/team/keys/backup", now="1")
    assert (done.status_code, done.headers["location"]) == (303, "/team/keys")
    shown = ask(member, "/team/keys").text
    assert "No backup yet" not in shown and re.search(r"keys-2026\d+T[\d.]+Z\.db", shown)
    assert [event.actor for event in world.events("keys.backup")] == [member.id]


def test_a_backup_that_is_late_is_said(world: World, ask: Asking) -> None:
    world.house.ring.for_caller("keys").backup()
    assert "overdue" not in ask(world.team(Role.OPERATIONS), "/team/keys").text
    world.clock.advance(hours=2)
    assert "A backup of the keys is overdue" in ask(world.team(Role.OPERATIONS), "/team/keys").text


@pytest.mark.browser
@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 1280), ("light", 360)])
def test_the_keys_as_the_team_sees_them(world: World, chromium: str, scheme: Any, width: int) -> None:
    filled(world)
    member = world.team(Role.SECURITY)
    world.do("keys.rotate", member, rotation.Rotate("subject"))
    world.do("keys.reencrypt", member, reencryption.Reencrypt(world.subscriber().id))
    app = application(world, member)

    async def answer(route: Route) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost") as client:
            found = await client.get(route.request.url)
        await route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    async def look() -> tuple[list[str], int, str]:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = await browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
            await page.route("**/*", answer)
            violations, wide, text = [], 0, ""
            for name in ("", "/purposes/subject", "/re-encryption"):
                await page.goto(f"https://localhost/team/keys{name}")
                for summary in await page.locator("main summary").all():
                    await summary.click()
                found = (await judged_later(page)).response["violations"]
                violations += [f"{item['id']}: {item['nodes'][0]['html']}" for item in found]
                wide = max(wide, await page.evaluate("document.documentElement.scrollWidth - innerWidth"))
                text += await page.inner_text("main")
                if PICTURES:
                    place = f"{PICTURES}/keys{name.replace('/', '-')}-{scheme}-{width}.png"
                    await page.screenshot(path=place, full_page=True)
            await browser.close()
            return violations, wide, text

    violations, wide, text = world.run(look())
    assert violations == []
    assert wide <= 0
    for words in ("Under way", "Rotate now", "subject", "identity", "Back up now", "after 7 days at the latest"):
        assert words in text
