"""The subscriber's journey through the real service, in a real browser, on each engine."""

from __future__ import annotations

import io
import json
from pathlib import Path
from urllib.parse import unquote_plus

import pypdf
import pytest
from playwright.sync_api import Browser

from subscription_services.trust import PROMISES
from tests.stories.person import meet
from tests.stories.running import Service, unique

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stories"), pytest.mark.timeout(280)]


def test_from_sign_up_to_cancellation(either: Service, browser: Browser, pictures: Path) -> None:
    ada = meet(either, browser, f"{unique('ada')}@example.org", pictures=pictures)
    page = ada.page
    ada.sign_up()
    ada.sign_in()
    assert "two-factor" in page.locator("main").inner_text().lower()
    ada.turn_on_two_factor()
    ada.sign_out()
    page.go_back()
    assert ada.email not in page.content()
    ada.sign_in()
    ada.choose_a_plan()
    ada.pay()
    ours = [body for url, body in ada.sent if url.startswith(either.url)]
    assert all("4242" not in unquote_plus(body).replace(" ", "") for body in ours)
    assert any("4242" in unquote_plus(body) for url, body in ada.sent if url.startswith(either.processor))

    ada.go("/subscriptions", "subscriptions")
    assert "Active" in page.locator("main").inner_text()
    page.locator("main").get_by_role("link", name="Details").first.click()
    page.wait_for_load_state()
    ada.see("subscription")
    subscription = page.url
    ada.go("/invoices", "invoices")
    page.locator("main table a, main a[href^='/invoices/inv']").first.click()
    page.wait_for_load_state()
    ada.see("invoice")
    assert "Paid" in page.locator("main").inner_text()
    pdf = page.request.get(f"{page.url}.pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    text = "".join(sheet.extract_text() for sheet in pypdf.PdfReader(io.BytesIO(pdf.body())).pages)
    assert ada.name in text
    assert "Paid" in text or "paid" in text

    page.goto(subscription)
    ada.cancel()
    assert "end" in page.locator("main").inner_text().lower()
    ada.go("/account/devices", "devices")
    assert "This device" in page.locator("main").inner_text()
    ada.go("/account/activity", "activity")
    history = page.locator("main").inner_text()
    assert "Signed in" in history
    ada.go("/security", "security")
    shown = page.locator("main").inner_text()
    status = json.loads(page.request.get(f"{either.url}/security.json").text())
    assert {item["id"] for item in status["promises"]} == set(PROMISES)
    assert "Not built yet" in shown
    assert all(item["checked_at"] for item in status["promises"] if item["state"] == "kept")


def test_without_javascript(service: Service, browser: Browser) -> None:
    eve = meet(service, browser, f"{unique('eve')}@example.org", scripts=False)
    eve.sign_up()
    eve.sign_in()
    eve.choose_a_plan()
    eve.page.wait_for_selector("iframe.processor", timeout=20_000)
    eve.pay()
    eve.page.goto(f"{service.url}/subscriptions")
    eve.page.locator("main").get_by_role("link", name="Details").first.click()
    eve.cancel()
    assert "end" in eve.page.locator("main").inner_text().lower()
