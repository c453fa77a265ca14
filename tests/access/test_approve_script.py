"""The page's script in a real Chromium: what its authenticator signs is what the service asks for."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import Route, sync_playwright

from subscription_services.access.operations.approvals import Approve, OneRequest
from subscription_services.access.pages.approvals import state_of
from subscription_services.kernel.actors import Role
from subscription_services.testing import World, approving
from subscription_services.testing.approving import ask
from subscription_services.testing.authenticator import ORIGIN, PRESENT, VERIFIED, Authenticator
from subscription_services.web.assets import STATIC
from subscription_services.web.forms import FormState
from subscription_services.web.page import PageContext
from subscription_services.web.render import page as text_of

from .granting import Release

pytestmark = [pytest.mark.browser]
PLACE = f"{ORIGIN}/team/approvals/"


@pytest.fixture(params=["sqlite"])
def engine(request: pytest.FixtureRequest) -> str:
    """What a browser signs does not depend on the engine."""
    return str(request.param)


def test_the_browser_signs_what_is_shown(house: World, chromium: str) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    # a browser's own authenticator says that its passkeys cannot be copied
    passkey = approving.passkey_of(house, other, Authenticator(flags=PRESENT | VERIFIED))
    made = ask(house, asker, "access.test_release", Release(1))
    found = house.do("access.approval_request", other, OneRequest(made.id))
    text = text_of(
        "access/approval.html", PageContext(), item=found, form=FormState(), state=state_of(found),
        now=house.clock(), may_refuse=True, over=False, roles="Security",
    )  # fmt: skip
    posted = sent_by(chromium, text, passkey)
    given = house.do("access.approve", other, Approve(id=made.id, **posted))
    assert given.approvals[0].signed
    house.do("access.test_release", asker, Release(1))


def sent_by(chromium: str, text: str, passkey: Authenticator) -> dict[str, str]:
    """Open the page in a browser that holds this passkey, press the button; what its form sends."""
    posted: dict[str, str] = {}

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN)
        if route.request.method == "POST":
            posted.update(parse_qsl(route.request.post_data or ""))
            route.fulfill(body="sent", content_type="text/html")
        elif path.startswith("/team"):
            route.fulfill(body=text, content_type="text/html; charset=utf-8")
        else:
            name = path.rpartition("/")[2].partition(".")[0]
            known = STATIC / f"{name}.js"
            route.fulfill(body=known.read_text() if known.exists() else "", content_type="text/javascript")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_context(ignore_https_errors=True).new_page()
        devtools = page.context.new_cdp_session(page)
        hold(devtools, passkey)
        page.route("**/*", answer)
        page.goto(PLACE)
        page.get_by_role("button", name="Approve", exact=True).click()
        page.get_by_text("sent").wait_for()
        browser.close()
    return {name: value for name, value in posted.items() if name in Approve.__struct_fields__}


def hold(devtools: Any, passkey: Authenticator) -> None:
    """Put the passkey into a virtual authenticator of the browser (WebAuthn level 3, 11)."""
    devtools.send("WebAuthn.enable")
    kind = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip
    authenticator = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": kind})["authenticatorId"]
    key = passkey.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    credential = {
        "credentialId": base64.b64encode(passkey.credential).decode(), "isResidentCredential": False,
        "rpId": "localhost", "privateKey": base64.b64encode(key).decode(), "signCount": 1,
    }  # fmt: skip
    devtools.send("WebAuthn.addCredential", {"authenticatorId": authenticator, "credential": credential})
