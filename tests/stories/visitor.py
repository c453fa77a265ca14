"""A person without a browser: the same pages and forms, for what has to be done fast, twice or wrongly."""

from __future__ import annotations

import html
import re
import secrets
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx

from tests.stories.running import Service, eventually, unique

PASSWORD = "violet-harbour-lantern-58"
CARD = "4242424242424242"


@dataclass
class Form:
    """A form of a page: where it is sent, and what it holds before anything is typed."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append(Form(given.get("action") or ""))
        elif tag == "input" and self.found and given.get("name"):
            self.found[-1].fields[str(given["name"])] = given.get("value") or ""


def form_of(page: str, action: str) -> Form:
    """The form of a page that is sent to a path beginning with `action`."""
    reader = _Forms()
    reader.feed(page)
    return next(form for form in reader.found if form.action.startswith(action))


class Visitor:
    """Keeps cookies as a browser does; `client` is for what no page would send."""

    def __init__(self, service: Service, email: str = "") -> None:
        self.service = service
        # an address of their own, as people have: what is counted for each must not add up over the stories
        self.home = home = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(254) + 1}.{secrets.randbelow(254) + 1}"
        self.client = service.client(home, follow_redirects=True, headers={"origin": service.url})
        self.email = email or f"{unique('vera')}@example.org"

    def get(self, path: str) -> str:
        """A page that must be there."""
        answer = self.client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        return answer.text

    def form(self, path: str, action: str = "", **typed: str) -> Form:
        """The form of a page, filled in and ready to be sent."""
        found = form_of(self.get(path), action or path)
        found.fields.update(typed)
        return found

    def send(self, form: Form) -> httpx.Response:
        return self.client.post(form.action, data=form.fields)

    def submit(self, path: str, action: str = "", **typed: str) -> httpx.Response:
        """Open the page, fill in the form, send it."""
        return self.send(self.form(path, action, **typed))

    def sign_up(self) -> None:
        answer = self.submit("/sign-up", name="Vera Visitor", email=self.email, password=PASSWORD)
        assert answer.url.path == "/sign-up/sent", answer.text

    def verify(self) -> None:
        link = urlsplit(self.service.link(self.email, "Confirm", "/verify"))
        assert self.submit(f"{link.path}?{link.query}", "/verify", password=PASSWORD).url.path == "/sign-in"

    def sign_in(self) -> None:
        answer = self.submit("/sign-in", email=self.email, password=PASSWORD)
        assert answer.url.path == "/account", answer.text

    def join(self) -> Visitor:
        """From nothing to being signed in."""
        self.sign_up()
        self.verify()
        self.sign_in()
        return self

    def plan(self) -> str:
        """The path of the first plan's checkout."""
        found = re.search(r'href="(/subscribe\?plan=[^"]+)"', self.get("/plans"))
        assert found
        return html.unescape(found[1])

    def order(self) -> str:
        """Choose the first plan; the path of its payment page."""
        answer = self.submit(self.plan(), "/subscribe")
        assert answer.url.path.startswith("/checkout/"), answer.text
        return answer.url.path

    def frame(self, checkout: str) -> str:
        """The address of the card form, once the processor is ready."""
        found = eventually(
            lambda: re.search(r'<iframe class="processor" src="([^"]+)"', self.client.get(checkout).text), 40
        )
        return html.unescape(found[1])

    def type_card(self, frame: str, number: str = CARD, times: int = 1) -> httpx.Response:
        """Send the processor's form as the browser does: to the processor, without our cookies. The last answer."""
        with httpx.Client(trust_env=False, timeout=20) as outside:
            form = form_of(outside.get(frame).text, "/frame/")
            form.fields.update(number=number, expiry="12/34", cvc="123", name="Vera Visitor")
            target = httpx.URL(frame).join(form.action)
            origin = f"{target.scheme}://{target.host}:{target.port}"
            answers = [outside.post(target, data=form.fields, headers={"origin": origin}) for _ in range(times)]
            return answers[-1]

    def subscriptions(self) -> list[str]:
        """The ids on the page of subscriptions."""
        return sorted(set(re.findall(r'href="/subscriptions/(sub_\w+)"', self.get("/subscriptions"))))

    def invoices(self) -> list[str]:
        return sorted(set(re.findall(r'href="/invoices/(inv_\w+)"', self.get("/invoices"))))
