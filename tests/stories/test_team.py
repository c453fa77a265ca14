"""The team's side: the first administrator, compulsory second factor, an audited look, the log, the mail queue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.stories.person import PASSWORD, Person, meet
from tests.stories.running import Service, eventually, unique

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stories"), pytest.mark.timeout(280)]


def test_the_first_administrator(service: Service, browser: Browser, pictures: Path) -> None:
    ada = meet(service, browser, f"{unique('ada')}@example.org")
    ada.sign_up()
    ada.sign_in()
    boss = meet(service, browser, f"{unique('boss')}@example.org", pictures=pictures)
    made = service.subs("bootstrap", boss.email, "Grace Hopper")
    assert made.returncode == 0, made.stderr
    link = re.search(r"https://\S+/enrol\S+", made.stdout.replace("\n", ""))
    assert link
    again = service.subs("bootstrap", "other@example.org", "Other")
    assert (again.returncode == 0, again.stdout) == (False, "")
    assert len(again.stderr.strip().splitlines()) == 1, again.stderr
    boss.page.goto(link[0])
    boss.see("enrol")
    boss.page.locator("input[name=password]").fill(PASSWORD)
    boss.press("Join")
    assert "/account/two-factor" in boss.page.url
    boss.page.goto(f"{service.url}/team/people")
    assert "/account/two-factor" in boss.page.url
    boss.press("Add an authenticator app")
    boss.secret = re.sub(
        r"[^A-Z2-7]", "", boss.page.get_by_role("group", name="Key of your account").inner_text().split("\n")[0]
    )
    boss.page.locator("input[name=code]").fill(boss.code())
    boss.press("Turn on two-factor sign-in")
    boss.go("/team", "team")
    boss.go("/team/find", "find")
    boss.page.locator("input[name=who]").fill(ada.email)
    boss.page.locator("[name=reason]").fill("asked for help on the phone")
    boss.page.locator("main form").get_by_role("button").first.click()
    boss.page.wait_for_load_state()
    boss.see("found")
    found = boss.page.locator("main").inner_text()
    assert "…@e….org" in found and ada.email not in found  # an administrator manages the team
    boss.go("/team/log?action=identity.find_person", "log")
    assert "identity.find_person" in boss.page.locator("main").inner_text()
    boss.go("/team/mail", "mail")
    assert "identity.verify_address" in boss.page.locator("main").inner_text().lower() or "confirm" in (
        boss.page.locator("main").inner_text().lower()
    )
    for path in ("/team/people", "/team/people/invite", "/team/service-accounts", "/team/deployments", "/account"):
        boss.go(path, path.strip("/").replace("/", "-"))
    boss.page.set_viewport_size({"width": 360, "height": 740})
    less = "/team/foresight?role=administrator&op:access.audit_log=true&op:access.invite=true"
    for path in ("/team", "/team/log", "/team/people", "/team/powers", "/team/operations",
                 "/team/operations/access.widen_role", less):  # fmt: skip
        boss.go(path, f"telephone-{path.strip('/').partition('?')[0].replace('/', '-')}")
        assert boss.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    boss.page.set_viewport_size({"width": 1280, "height": 900})
    alone(service, boss)
    ada.go("/account/activity", "activity")
    assert "team" in ada.page.locator("main").inner_text().lower()


def alone(service: Service, boss: Person) -> None:
    """Somebody who is the only administrator is told so, gives a role after a wait, and everybody hears of it."""
    boss.go("/team", "alone-told")
    boss.page.get_by_text("There is nobody else who could approve").wait_for()
    boss.go("/team/people/invite", "alone-invite")
    boss.page.get_by_label("Name").fill("Sam Support")
    boss.page.get_by_label("E-mail").fill("sam@example.org")
    boss.page.locator("input[name=role][value=support]").check()
    boss.page.locator("[name=reason]").fill("helps subscribers")
    boss.press("Send the invitation")
    boss.page.get_by_text("So it waits instead").wait_for()
    boss.see("alone-waits")
    service.letter("security@my-subscription-services.com", "Nobody else can approve this")
    request = boss.page.url

    def ready() -> bool:
        boss.page.goto(request)
        return boss.page.get_by_role("button", name="Carry out").count() == 1

    eventually(ready, 60)
    boss.press("Carry out")
    boss.page.get_by_text("It is done, once").wait_for()
    boss.go("/team/people", "alone-done")
    assert boss.page.get_by_text("Support", exact=True).count() == 1


def test_the_log_verifies_from_the_command_line(service: Service) -> None:
    told = service.subs("ledger", "verify")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "all signatures and roots are right" in told.stdout


def test_which_says_what_answers_a_path(service: Service) -> None:
    told = service.subs("which", "/account/devices")
    assert "identity.devices" in told.stdout
    assert service.subs("which", "/nowhere").returncode == 1
