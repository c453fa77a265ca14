"""A browser without scripts, on the whole application with its edge: keeps cookies, fills in forms, presses buttons."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx
import pyotp

from subscription_services import front
from subscription_services.kernel.actors import System
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@dataclass
class Form:
    """One form of a page: where it goes and what it would send."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = True
            self.found.append(Form(given.get("action", "")))
        elif tag == "input" and self._inside and given.get("name"):
            self.found[-1].fields.setdefault(given["name"], given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


class Browser:
    """`get` and `press` follow no redirect by themselves: tests look at each step. `page` is the last one seen."""

    def __init__(self, world: World, user_agent: str = FIREFOX) -> None:
        self.world = world
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(front.application(world.house), client=("127.0.0.9", 4711)),
            base_url="https://localhost:8443", headers={"User-Agent": user_agent, "Accept": "text/html"},
        )  # fmt: skip
        self.page: httpx.Response = httpx.Response(204)

    def get(self, path: str) -> httpx.Response:
        self.page = self.world.run(self.client.get(path))
        return self.page

    def follow(self) -> httpx.Response:
        """Where the last answer leads."""
        assert self.page.status_code == 303, (self.page.status_code, words_of(self.page))
        return self.get(self.page.headers["location"])

    def form(self, action: str) -> Form:
        """The first form of the page that goes there; a query may follow the path."""
        reader = _Forms()
        reader.feed(self.page.text)
        found = [item for item in reader.found if item.action.partition("?")[0] == action]
        assert found, (action, [item.action for item in reader.found], words_of(self.page))
        return found[0]

    def press(self, action: str, **typed: str) -> httpx.Response:
        """Fill in the page's form and send it."""
        return self.send(self.form(action), **typed)

    def send(self, form: Form, **typed: str) -> httpx.Response:
        data = {**form.fields, **typed}
        headers = {"Origin": "https://localhost:8443", "Sec-Fetch-Site": "same-origin"}
        self.page = self.world.run(self.client.post(form.action, data=data, headers=headers))
        return self.page

    def cookie(self, name: str) -> str:
        return self.client.cookies.get(name) or ""

    def sign_up(self, email: str, name: str = "Ada Example", password: str = PASSWORD) -> None:
        """Up to the letter that was sent."""
        self.get("/sign-up")
        self.press("/sign-up", name=name, email=email, password=password)
        assert self.page.headers.get("location") == "/sign-up/sent", words_of(self.page)

    def sign_in(self, email: str, password: str = PASSWORD, path: str = "/sign-in") -> httpx.Response:
        self.get(path)
        return self.press("/sign-in", email=email, password=password)

    def join(self, email: str) -> None:
        """A verified account, signed in."""
        self.sign_up(email)
        self.get(f"/verify?token={link_of(self.world, email)}")
        self.press("/verify")
        self.sign_in(email)
        self.follow()

    def turn_on_two_factor(self) -> pyotp.TOTP:
        """From the page's own key, with a right code."""
        self.get("/account/two-factor")
        self.press("/account/two-factor/start")
        self.follow()
        totp = key_on(self.page)
        self.press("/account/two-factor/confirm", code=totp.at(self.world.clock()))
        return totp


def key_on(page: httpx.Response) -> pyotp.TOTP:
    """The key that the page shows as text."""
    found = re.search(r"<code>([A-Z2-7 ]{32,})</code>", page.text)
    assert found, words_of(page)
    return pyotp.TOTP(found[1].replace(" ", ""))


def codes_on(page: httpx.Response) -> list[str]:
    """The recovery codes that the page shows."""
    return re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", words_of(page))


def words_of(page: httpx.Response) -> str:
    """What a reader sees, roughly."""
    text = re.sub(r"(?s)<(style|script|svg|head).*?</\1>", " ", page.text)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def set_cookies(page: httpx.Response) -> dict[str, dict[str, str]]:
    """Each cookie that the answer sets, with its value under "" and its attributes in lower case."""
    found: dict[str, dict[str, str]] = {}
    for header in page.headers.get_list("set-cookie"):
        first, *rest = [part.strip() for part in header.split(";")]
        name, _, value = first.partition("=")
        attributes: Any = (part.partition("=") for part in rest)
        found[name] = {"": value, **{key.lower(): text for key, _, text in attributes}}
    return found


def link_of(world: World, email: str, purpose: str = "verify") -> str:
    """The secret of a link, minted as the letter does."""
    from subscription_services.identity.model import Purpose
    from subscription_services.identity.operations.sign_up import IssueLink

    request = IssueLink(world.account(email), Purpose(purpose))
    return str(world.do("identity.issue_link", System("identity.letters"), request).token)
