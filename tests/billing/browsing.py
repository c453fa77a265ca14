"""A person's browser without a browser: the whole ASGI application, edge included, one page after the other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx

from subscription_services.front import application
from subscription_services.kernel.actors import Subscriber
from tests.billing.shop import Shop

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
FORM = re.compile(r'<form action="([^"]+)" method="post".*?</form>', re.DOTALL)


@dataclass(slots=True)
class Browser:
    """Follows redirects, keeps cookies, sends forms as the page gave them."""

    shop: Shop
    client: httpx.AsyncClient
    page: httpx.Response | None = None

    def open(self, path: str) -> str:
        """The page at `path`, after redirects."""
        return self._take(self.client.get(path))

    def send(self, action: str, **fields: str) -> str:
        """Send the form of the present page with this action."""
        assert self.page is not None
        form = next(found for found in FORM.finditer(self.page.text) if unescape(found[1]) == action)
        hidden = {name: unescape(value) for name, value in HIDDEN.findall(form[0])}
        headers = {"Origin": str(self.client.base_url).rstrip("/")}
        return self._take(self.client.post(action, data={**hidden, **fields}, headers=headers))

    @property
    def path(self) -> str:
        assert self.page is not None
        return self.page.url.path

    def _take(self, going: Any) -> str:
        self.page = self.shop.world.run(going)
        assert self.page is not None
        return self.page.text


def browser(shop: Shop, who: Subscriber | None = None) -> Browser:
    """A browser in which `who` is signed in."""
    house = shop.world.house
    cookies = {"__Host-session": who.session} if who else {}
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(application(house)), base_url="https://localhost:8443", cookies=cookies,
        follow_redirects=True, headers={"Accept": "text/html"},
    )  # fmt: skip
    return Browser(shop, client)
