"""What takes two people, and what is lent for a task: asked, decided, carried out and taken back in the browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.stories.person import PASSWORD, Person, meet
from tests.stories.running import Service, start
from tests.stories.test_bound_sessions import trusted
from tests.stories.test_passkeys import PLATFORM

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stories"), pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An installation of its own: its first administrator is made here."""
    running = start(tmp_path_factory.mktemp("office"))
    yield running
    running.stop()


def join(person: Person, link: str) -> None:
    """From the link of an invitation to the team console."""
    person.page.goto(link)
    person.page.locator("input[name=password]").fill(PASSWORD)
    person.press("Join")
    person.press("Add an authenticator app")
    shown = person.page.get_by_role("group", name="Key of your account").inner_text().split("\n")[0]
    person.secret = re.sub(r"[^A-Z2-7]", "", shown)
    person.page.locator("input[name=code]").fill(person.code())
    person.press("Turn on two-factor sign-in")
    person.page.get_by_role("group", name="Recovery codes").wait_for()


def press(person: Person, label: str, text: str) -> None:
    """Press it, and wait until the page says so."""
    person.press(label)
    person.page.locator("main").get_by_text(text).first.wait_for()


def invite(boss: Person, newcomer: Person, role: str) -> str:
    """The newcomer joins; the page of the request for their role."""
    boss.page.goto(f"{boss.service.url}/team/people/invite")
    boss.page.get_by_label("Name").fill(newcomer.name)
    boss.page.get_by_label("E-mail").fill(newcomer.email)
    boss.page.locator(f"input[name=role][value={role}]").check()
    boss.page.locator("[name=reason]").fill("joins the team")
    press(boss, "Send the invitation", "The role waits for somebody else")
    boss.see("invited-with-role")
    join(newcomer, boss.service.link(newcomer.email, "Join the team", "/enrol"))
    return boss.page.url


@pytest.fixture
def otto(office: Service, browser: Browser, chromium: str, tmp_path: Path, pictures: Path) -> Iterator[Person]:
    """Who approves: with an authenticator in a browser that trusts the service's key, as passkeys need."""
    args = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    args += [f"--ignore-certificate-errors-spki-list={trusted(office)}"]
    context = browser.browser_type.launch_persistent_context(
        str(tmp_path / "otto"), executable_path=chromium, args=args, viewport={"width": 1280, "height": 900}
    )
    tools = context.new_cdp_session(context.pages[0])
    tools.send("WebAuthn.enable")
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": PLATFORM})
    person = Person(office, context.pages[0], "otto@example.org", pictures=pictures)
    person.name = "Otto Operator"
    yield person
    context.close()


def add_passkey(person: Person) -> None:
    """From the page of a request, which cannot be approved without one."""
    page = person.page
    page.get_by_text("You have no passkey yet").wait_for()
    person.see("approval-without-passkey")
    page.locator("main").get_by_role("link", name="Add a passkey").click()
    page.wait_for_url("**/account/two-factor/passkey")
    page.get_by_label("Name").fill("My laptop")
    page.get_by_role("button", name="Create the passkey").click()
    page.wait_for_url(re.compile("/account/two-factor$"))


def test_two_people_and_a_task(office: Service, browser: Browser, otto: Person, pictures: Path) -> None:
    boss = meet(office, browser, "boss@example.org", pictures=pictures)
    made = office.subs("bootstrap", boss.email, "Grace Hopper", "--and", f"{otto.name} <{otto.email}>")
    links = re.findall(r"https://\S+/enrol\?token=[\w-]+", made.stdout)
    assert len(links) == 2, made.stderr
    join(boss, links[0])
    join(otto, links[1])
    sam = meet(office, browser, "sam@example.org", pictures=pictures)
    sam.name = "Sam Security"
    role = invite(boss, sam, "security")
    otto.page.goto(office.link(otto.email, "Grace Hopper asks for your approval", "/team/approvals/"))
    add_passkey(otto)
    otto.page.goto(role)
    otto.page.locator("main").get_by_text("Sam Security").first.wait_for()
    press(otto, "Approve", "You approved exactly this")
    boss.page.goto(role)
    press(boss, "Carry out", "It is done, once")
    office.letter(sam.email, "You have a role of the team now")

    sam.go("/team/log/exports", "exports")
    sam.page.get_by_text("With addresses and browsers opened").click()
    sam.page.locator("[name=reason]").fill("to find who tried the passwords")
    press(sam, "Export them opened", "This needs approval")
    sam.see("approval-needed")
    sam.page.locator("[name=reason]").fill("case 7 of this week")
    press(sam, "Ask for approval", "on its way to those who can decide")
    sam.see("approval-asked")
    request = sam.page.url

    otto.page.goto(office.link(otto.email, "Sam Security asks for your approval", "/team/approvals/"))
    otto.page.goto(request)
    otto.see("approval-to-decide")
    otto.go("/team/approvals", "approvals-inbox")
    assert otto.page.locator("nav .badge.waiting").first.inner_text().endswith("1")
    otto.page.goto(request)
    press(otto, "Approve", "You approved exactly this")
    otto.page.locator("main").get_by_text("Signed").wait_for()
    otto.see("approval-given")
    sam.page.goto(request)
    sam.see("approval-ready")
    press(sam, "Carry out", "It is done, once")
    sam.see("carried-out")
    sam.go("/team/approvals", "my-requests")

    sam.go("/team/tasks/new", "new-task")
    sam.page.locator("[name=title]").fill("Look into an invoice of case 7")
    sam.page.locator("[name=about_kind]").select_option("incident")
    sam.page.locator("[name=about]").fill("case-7")
    sam.page.locator("[name=role]").select_option("billing")
    sam.page.locator("[name=minutes]").select_option("30")
    press(sam, "Ask for it", "Those who can grant the task were told")
    sam.see("task-asked")
    task = sam.page.url
    otto.go("/team/tasks", "tasks")
    otto.page.goto(task)
    otto.see("task-to-decide")
    press(otto, "Grant it", "The task is open until its end")
    sam.go("/team/tasks", "my-tasks")
    sam.page.goto(task)
    sam.see("task-open")
    press(sam, "Close the task", "The task is closed")
    sam.see("task-closed")
    for person, path in ((sam, task), (sam, request), (otto, f"{office.url}/team/approvals")):
        person.page.set_viewport_size({"width": 360, "height": 740})
        person.page.emulate_media(color_scheme="dark")
        person.page.goto(path)
        person.see("telephone")
        assert person.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
