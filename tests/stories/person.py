"""A person with a browser: what they do, step by step, as on the pages."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import pyotp
from playwright.sync_api import Browser, Page, Request

from tests.seeing import judged
from tests.stories.running import Service

PASSWORD = "violet-harbour-lantern-58"
CARD = "4242 4242 4242 4242"


@dataclass
class Person:
    """`sent` holds every request of the browser: address and body. Each page seen is judged by axe-core."""

    service: Service
    page: Page
    email: str
    name: str = "Ada Lovelace"
    password: str = PASSWORD
    scripts: bool = True
    pictures: Path | None = None
    sent: list[tuple[str, str]] = field(default_factory=list)
    secret: str = ""
    codes: list[str] = field(default_factory=list)
    _last_step: int = 0

    def see(self, name: str) -> None:
        """Look at the page: axe-core finds nothing, and a picture is kept."""
        if self.pictures is not None:
            self.page.screenshot(path=str(self.pictures / f"{len(list(self.pictures.iterdir())):02d}-{name}.png"))
        if self.scripts:
            found = judged(self.page).response["violations"]
            problems = [f"{item['id']}: {[node['html'] for node in item['nodes']][:3]}" for item in found]
            assert problems == [], f"{name} ({self.page.url}): {problems}"

    def go(self, path: str, name: str) -> None:
        answer = self.page.goto(f"{self.service.url}{path}")
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        self.see(name)

    def press(self, label: str) -> None:
        """The button or link in the page's main part."""
        main = self.page.locator("main")
        button = main.get_by_role("button", name=label, exact=True)
        (button if button.count() else main.get_by_role("link", name=label, exact=True)).first.click()
        self.page.wait_for_load_state()

    def sign_up(self) -> None:
        self.go("/", "home")
        self.page.get_by_role("link", name="Create account", exact=True).first.click()
        self.see("sign-up")
        self.page.get_by_label("Name").fill(self.name)
        self.page.get_by_label("E-mail").fill(self.email)
        self.page.locator("input[name=password]").fill(self.password)
        self.press("Create account")
        assert self.page.url.endswith("/sign-up/sent")
        self.see("letter-sent")
        self.page.goto(self.service.link(self.email, "Confirm", "/verify"))
        self.see("verify")
        self.press("Confirm my address")

    def sign_in(self) -> None:
        self.page.goto(f"{self.service.url}/sign-in")
        self.page.get_by_label("E-mail").fill(self.email)
        self.page.locator("input[name=password]").fill(self.password)
        self.press("Sign in")
        if self.secret:
            self.see("code")
            self.page.locator("input[name=code]").fill(self.code())
            self.press("Sign in")
        assert "/sign-in" not in self.page.url, self.page.locator("main").inner_text()

    def code(self) -> str:
        """A code of the authenticator that was not used yet. A device's clock may be a step off either way, so three
        codes can follow each other at once; after that one waits for the next."""
        step = max(self._last_step + 1, int(time.time()) // 30 - 1)
        while step > int(time.time()) // 30 + 1:
            time.sleep(0.2)
        self._last_step = step
        return pyotp.TOTP(self.secret).at(step * 30)

    def turn_on_two_factor(self, *, already_there: bool = False) -> None:
        if not already_there:
            self.see("overview")
            self.press("Turn on two-factor sign-in")
            self.see("two-factor")
        self.press("Add an authenticator app")
        self.see("two-factor-set-up")
        self.secret = self.page.get_by_role("group", name="Key of your account").inner_text().split("\n")[0].strip()
        self.secret = re.sub(r"[^A-Z2-7]", "", self.secret)
        self.page.locator("input[name=code]").fill(self.code())
        self.press("Turn on two-factor sign-in")
        self.see("recovery-codes")
        shown = self.page.get_by_role("group", name="Recovery codes").locator("code").inner_text()
        self.codes = shown.split()
        assert len(self.codes) == 10
        self.press("I have saved them")

    def sign_out(self) -> None:
        self.page.locator("details.account summary").click()
        self.page.get_by_role("button", name="Sign out").first.click()
        self.page.wait_for_load_state()

    def choose_a_plan(self) -> None:
        self.go("/plans", "plans")
        self.page.locator("main").get_by_role("link", name=re.compile("^Choose ")).first.click()
        self.see("subscribe")
        self.press("Subscribe and pay")
        self.page.wait_for_url(re.compile("/checkout/"))

    def pay(self, card: str = CARD, holder: str = "") -> None:
        frame = self.page.frame_locator("iframe.processor")
        frame.get_by_label("Card number").fill(card)
        frame.get_by_label("Expiry date").fill("12/34")
        frame.get_by_label("Security code").fill("123")
        frame.get_by_label("Name on card").fill(holder)
        self.see("pay")
        frame.get_by_role("button", name=re.compile("^Pay ")).click()
        if not self.scripts:
            frame.get_by_role("link", name="Continue").click()
        self.page.wait_for_url(re.compile("/(subscriptions|invoices)/"), timeout=30_000)

    def cancel(self) -> None:
        self.press("Cancel subscription")
        self.see("cancel")
        self.press("Cancel at the end of the period")
        self.see("cancelled")


def meet(
    service: Service, browser: Browser, email: str, *, scripts: bool = True, pictures: Path | None = None
) -> Person:
    """Somebody new, in a browser of their own."""
    context = browser.new_context(
        ignore_https_errors=True, java_script_enabled=scripts, viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    person = Person(service, page, email, scripts=scripts, pictures=pictures)

    def note(request: Request) -> None:
        body = request.post_data_buffer
        person.sent.append((request.url, (body or b"").decode("utf-8", "replace")))

    page.on("request", note)
    return person
