"""A review through its pages: in a real browser with the keyboard alone, without scripts, and its evidence offline."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, Route, async_playwright
from starlette.requests import Request

from subscription_services import access
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.access.review_model import Outcome
from subscription_services.access.review_policy import ELEVATED, Scope
from subscription_services.kernel.actors import Actor, Role
from subscription_services.testing import World
from subscription_services.visitors import Front
from subscription_services.web.call import Navigation, Site, Visitor
from subscription_services.web.page import Person
from subscription_services.web.pages import toolkit_routes
from subscription_services.web.routes import RouteTable
from tests.seeing import judged_later

from .reviewed import Office, office
from .test_log_exports import members, sequenced, verifier

PICTURES = os.environ.get("REVIEW_PICTURES", "")
ONE = re.compile(r'action="(/team/reviews/rvw_\w+/items/rvi_\w+)/keep"')


@pytest.fixture(params=["sqlite"])
def engine(request: pytest.FixtureRequest) -> str:
    """Pages look the same on each store."""
    return str(request.param)


@pytest.fixture
def team(world: World, tmp_path: Path) -> Office:
    """Five people; one of them made a program and looked around."""
    made = office(world)
    made.join("ida", Role.AUDITOR)
    boss = made.people["boss"]
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Nightly numbers", boss.id)).id
    world.do("access.issue_token", boss, IssueToken(account, ["access.audit_log"]))
    return made


def application(world: World, actor: Callable[[], Actor]) -> Any:
    """The pages, as whoever `actor` says."""

    async def visitor(request: Request) -> Visitor:
        return Visitor(actor(), Person("Tess Team", "Security"), waiting={"/team/reviews": 1})

    def links(found: Visitor) -> Navigation:
        return Navigation(access.team_navigation(getattr(found.actor, "roles", ()), waiting=found.waiting))

    site = Site(world.house.kernel, visitor, links, Front(world.house.kernel).places)
    return RouteTable((*access.routes(Path()), *toolkit_routes(development=False))).application(site)


def opened(team: Office, days: int, scope: Scope) -> str:
    team.world.clock.advance(days=days, seconds=7, microseconds=123457)
    if scope is Scope.STANDARD:
        team.confirm(*ELEVATED)  # as reviews before did
    team.tend()
    return team.open(scope).id


def browse(
    world: World, chromium: str, actor: Callable[[], Actor], act: Callable[[Page], Awaitable[None]], **options: Any
) -> None:
    """A browser whose every request the real application answers, in this process."""
    app = application(world, actor)

    async def answer(route: Route) -> None:
        asked = route.request
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), follow_redirects=True) as client:
            headers = {name: value for name, value in (await asked.all_headers()).items() if not name.startswith(":")}
            found = await client.request(asked.method, asked.url, content=asked.post_data_buffer, headers=headers)
        await route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    async def look() -> None:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = await browser.new_page(**options)
            await page.route("**/*", answer)
            await act(page)
            await browser.close()

    world.run(look())


async def seen(page: Page, name: str) -> None:
    found = (await judged_later(page)).response["violations"]
    assert [f"{item['id']}: {[node['html'] for node in item['nodes']][:2]}" for item in found] == [], name
    if PICTURES:
        await page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name


@pytest.mark.browser
def test_deciding_with_the_keyboard_alone(team: Office, chromium: str) -> None:
    made = opened(team, 90, Scope.STANDARD)
    sam = team.now("sam")
    decoys = {item.name for item in team.items(made, "sam") if team.facts(made)[item.id].decoy}

    async def act(page: Page) -> None:
        await page.goto(f"https://localhost/team/reviews/{made}")
        await seen(page, "review")
        first = await page.locator("#who").inner_text()
        await page.keyboard.press("l")  # later
        await page.wait_for_url("**item=rvi_*")
        assert await page.locator("#who").inner_text() != first
        await page.locator("a.skip").focus()
        await page.keyboard.press("k")  # the keyboard is elsewhere, so this is about nothing
        assert "0 of" in await page.locator(".progress-message").inner_text()
        await page.goto(f"https://localhost/team/reviews/{made}")
        while await page.locator("[data-decide]").count():
            name = (await page.locator("#who").inner_text()).split("\n")[0]
            mine = await page.locator("#who").evaluate("node => node.firstChild.textContent.trim()")
            assert mine in name
            before = await page.locator(".progress-message").inner_text()
            async with page.expect_navigation():
                await page.keyboard.press("r" if mine in decoys else "k")
            if await page.locator(".progress-message").count():
                assert await page.locator(".progress-message").inner_text() != before
        await page.get_by_text("Everything is decided").first.wait_for()
        await seen(page, "review-closed")
        await page.goto("https://localhost/team/reviews")
        await seen(page, "reviews")

    browse(team.world, chromium, lambda: sam, act, viewport={"width": 1280, "height": 900})
    (closed,) = [found for found in team.reviews("sam") if found.id == made]
    assert closed.outcome is Outcome.CLOSED


@pytest.mark.browser
def test_it_is_readable_in_the_dark_and_on_a_telephone(team: Office, chromium: str) -> None:
    made = opened(team, 30, Scope.ELEVATED)
    boss = team.now("boss")

    async def act(page: Page) -> None:
        await page.goto(f"https://localhost/team/reviews/{made}")
        await seen(page, "review-telephone-dark")
        await page.goto(f"https://localhost/team/people/{boss.id}")
        await seen(page, "person-telephone-dark")
        await page.goto("https://localhost/team/reviews")
        await seen(page, "reviews-telephone-dark")

    browse(team.world, chromium, lambda: boss, act, color_scheme="dark", viewport={"width": 360, "height": 740})


def request(world: World, actor: Actor, path: str, **fields: str) -> httpx.Response:
    """As a browser without scripts."""
    app = application(world, lambda: actor)

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost") as client:
            return await (client.post(path, data=fields) if fields else client.get(path))

    answer: httpx.Response = world.run(send())
    return answer


def test_it_works_without_scripts_and_says_what_is_wrong(team: Office) -> None:
    made = opened(team, 30, Scope.ELEVATED)
    page = request(team.world, team.now("boss"), f"/team/reviews/{made}").text
    (path,) = ONE.findall(page)
    shown = re.findall(r'name="shown" value="(\w+)"', page)[0]
    wrong = request(team.world, team.now("boss"), f"{path}/keep", shown="0" * 66)
    assert wrong.status_code == 409
    assert "reads differently" in wrong.text
    assert ONE.findall(wrong.text) == [path]  # the same one, to be read again
    fact = team.facts(made)[path.rpartition("/")[2]]
    done = request(team.world, team.now("boss"), f"{path}/{'revoke' if fact.decoy else 'keep'}", shown=shown)
    assert (done.status_code, done.headers["location"]) == (303, f"/team/reviews/{made}")
    again = request(team.world, team.now("boss"), f"{path}/keep", shown=shown)
    assert (again.status_code, "decided already" in again.text) == (409, True)


def test_a_void_review_leads_to_the_next(team: Office) -> None:
    made = opened(team, 30, Scope.ELEVATED)
    decoy = team.decoy(made)
    path = f"/team/reviews/{made}/items/{decoy.id}/keep"
    done = request(team.world, team.now("boss"), path, shown=decoy.shown)
    following = team.open().id
    assert done.headers["location"] == f"/team/reviews/{following}"
    assert "Void" in request(team.world, team.now("boss"), f"/team/reviews/{made}").text


def test_the_evidence_is_verified_by_the_independent_verifier(team: Office, tmp_path: Path) -> None:
    made = opened(team, 30, Scope.ELEVATED)
    path = f"/team/reviews/{made}/record"
    assert request(team.world, team.now("boss"), path).status_code == 409  # not before it is over
    team.finish(made)
    assert request(team.world, team.now("boss"), path).status_code == 409  # the newest entry is not signed yet
    sequenced(team.world)
    answer = request(team.world, team.now("boss"), path)
    assert answer.status_code == 200, answer.text
    files = members(answer.content)
    sums = [line.split("  ") for line in files["SHA256SUMS"].decode().splitlines()]
    assert all(hashlib.sha256(files[name]).hexdigest() == digest for digest, name in sums)
    assert {name for _, name in sums} == {*files} - {"SHA256SUMS"}
    key = files["verifier-key"].decode().strip()
    for name in [name for name in files if name.startswith("proofs/")]:
        (tmp_path / "proof").write_bytes(files[name])
        found = verifier("inclusion", str(tmp_path / "proof"), "--key", key)
        assert found.returncode == 3, found.stderr  # all of it agrees; nobody cosigned in this test
    entries = [json.loads(line)["event"] for line in files["entries/000000.jsonl"].splitlines()]
    assert {entry["action"] for entry in entries} == {"access.open_review", "access.decide_review_item"}
    record = json.loads(files["record.json"])
    assert [entry["details"]["record"] for entry in entries if "record" in entry["details"]] == [
        hashlib.sha256(files["record.json"]).hexdigest()
    ]
    assert len([item for item in record["items"] if item["decision"]]) == len(record["items"])
    assert {item["facts"]["decoy"] for item in record["items"]} == {0, 1}
