"""The mail queue in a real browser, answered by the real application in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import Route, async_playwright
from starlette.requests import Request

from subscription_services import mail
from subscription_services.kernel.actors import Role
from subscription_services.testing import World
from subscription_services.web.call import Navigation, Site, Visitor
from subscription_services.web.page import NavItem, Person
from subscription_services.web.pages import toolkit_routes
from subscription_services.web.routes import RouteTable
from tests.mail.conftest import Server
from tests.mail.test_queue import filled
from tests.seeing import judged_later

pytestmark = pytest.mark.browser
PICTURES = os.environ.get("MAIL_PICTURES", "")


@pytest.fixture
def engine() -> str:
    """A page looks the same on each store."""
    return "sqlite"


@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 1280), ("light", 360)])
def test_the_queue_as_the_team_sees_it(
    world: World, server: Callable[..., Server], chromium: str, scheme: Any, width: int
) -> None:
    post, _ = filled(world, server)
    post.write("test.unknown")
    post.run()

    async def visitor(request: Request) -> Visitor:
        return Visitor(post.team(Role.OPERATIONS), Person("Tia Team", "Operations"))

    links = Navigation(main=(NavItem("Mail", "/team/mail", "mail"), NavItem("People", "/team/people", "people")))
    site = Site(post.kernel, visitor, lambda visitor: links)
    app = RouteTable((*mail.routes(), *toolkit_routes(development=False))).application(site)

    async def answer(route: Route) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost") as client:
            found = await client.get(route.request.url)
        await route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    async def look() -> tuple[list[str], int, str]:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = await browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
            await page.route("**/*", answer)
            await page.goto("https://localhost/team/mail")
            violations = [item["id"] for item in (await judged_later(page)).response["violations"]]
            wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            text = await page.inner_text("main")
            if PICTURES:
                await page.screenshot(path=f"{PICTURES}/mail-{scheme}-{width}.png", full_page=True)
            await browser.close()
            return violations, int(wide), text

    violations, wide, text = world.run(look())
    assert violations == []
    assert wide <= 0
    for words in ("Given up", "Sent", "Try again", "Mail server said 550"):
        assert words in text
