"""The team's side: the first administrator, made once ever, and what the console shows them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.stories.person import meet
from tests.stories.service import Service, unique
from tests.stories.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stories"), pytest.mark.timeout(200)]


def test_the_first_administrator_finds_a_subscriber_who_sees_it(
    service: Service, browser: Browser, pictures: Path
) -> None:
    vera = Visitor(service).join()
    grace = meet(service, browser, f"{unique('grace')}@example.org", name="Grace Hopper", pictures=pictures)
    page = grace.page

    made = service.subs("bootstrap", grace.email, "Grace Hopper")
    assert made.returncode == 0, made.stderr
    link = made.stdout.split()[-1]
    assert link.startswith(f"{service.url}/enrol?token="), made.stdout
    again = service.subs("bootstrap", "other@example.org", "Other Person")
    assert again.returncode != 0
    assert again.stdout == ""
    assert len(again.stderr.strip().splitlines()) == 1, again.stderr
    assert "Traceback" not in again.stderr

    page.goto(link)
    grace.see("enrol")
    page.locator("input[name=password]").fill(grace.password)
    grace.press("Join")
    assert page.url.endswith("/account/two-factor")
    closed = page.goto(f"{service.url}/team/find")
    assert closed is not None
    assert page.locator("form[action='/team/find']").count() == 0, "the console opened without a second factor"
    grace.go("/account/two-factor", "team-two-factor")
    assert page.get_by_role("link", name="Not now").count() == 0
    grace.turn_on_two_factor(already_there=True)

    grace.go("/team", "team")
    assert "Administrator" in page.locator("main").inner_text()
    grace.go("/team/find", "team-find")
    page.get_by_label("E-mail or account").fill(vera.email)
    page.get_by_label("Reason").fill("Case 4711")
    grace.press("Find")
    grace.see("team-found")
    found = page.locator("main").inner_text()
    assert vera.email in found
    account = re.search(r"acc_\w+", found)
    assert account

    grace.go(f"/team/log?subject={account[0]}&action=identity.find_person", "team-log")
    assert "identity.find_person" in page.locator("table").inner_text()
    assert "Case 4711" in page.content()
    grace.go("/team/mail", "team-mail")
    assert "identity.verify_address" in page.locator("table").inner_text()
    assert vera.email not in page.content()
    for path in ("/team/people", "/team/service-accounts"):
        grace.go(path, path.removeprefix("/team/"))

    history = vera.get("/account/activity")
    assert "Looked up your account" in history
    assert "Our team" in history
    assert vera.client.get("/team").status_code == 404
    used = Visitor(service).client.get(urlsplit(link).path, params=urlsplit(link).query)
    assert used.status_code == 200, "the form is shown; the link is judged when the password is sent"
    late = Visitor(service).submit(link, "/enrol", password="another-password-of-mine-77")
    assert "used already" in late.text
