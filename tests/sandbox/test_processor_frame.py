"""The card form: errors beside the fields, challenges, the way back, and no number kept anywhere."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, FrameLocator, sync_playwright

from tests.sandbox.processes import EMBEDDER, Certificate, Processor, in_files, processor_process
from tests.seeing import judged

GOOD = {"number": "4242 4242 4242 4242", "expiry": "12 / 34", "cvc": "123", "name": "Ann Example"}
KEY = "pk_test_sandbox"


def _payment(processor: Processor, **more: Any) -> dict[str, str]:
    asked: Any = {"amount": 1250, "currency": "eur", **more}
    intent = processor.sdk.v1.payment_intents.create(asked)
    secret = str(intent.client_secret)
    return {"client_secret": secret, "return_url": f"{EMBEDDER}/paid?step=2", "publishable_key": KEY}


def _post(processor: Processor, form: dict[str, str], room: str = "payment") -> httpx.Response:
    return httpx.post(f"{processor.url}/frame/{room}", data=form)


def _status(processor: Processor, form: dict[str, str]) -> str:
    return str(processor.sdk.v1.payment_intents.retrieve(form["client_secret"].partition("_secret_")[0]).status)


def _follow(processor: Processor, answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return httpx.get(processor.url + answer.headers["location"]).text


def test_the_frame_is_for_its_embedder_only(processor: Processor) -> None:
    answer = httpx.get(f"{processor.url}/frame/payment", params=_payment(processor))
    assert answer.status_code == 200 and "Pay 12.50 EUR" in answer.text
    policy = answer.headers["content-security-policy"]
    assert f"frame-ancestors {EMBEDDER}" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"


def test_paying_saves_the_card_when_asked(processor: Processor) -> None:
    customer = processor.sdk.v1.customers.create().id
    form = _payment(processor, customer=customer, setup_future_usage="off_session")
    page = _follow(processor, _post(processor, {**form, **GOOD}))
    target = page.partition('href="http://shop')[2].partition('"')[0].replace("&amp;", "&")
    query = parse_qs(urlsplit(target).query)
    assert (query["step"], query["redirect_status"]) == (["2"], ["succeeded"])
    assert query["payment_intent"] == [form["client_secret"].partition("_secret_")[0]]
    assert _status(processor, form) == "succeeded"
    (saved,) = processor.sdk.v1.payment_methods.list({"customer": customer}).data
    assert saved.card is not None and saved.card.last4 == "4242"
    assert saved.billing_details.name == "Ann Example"


def test_paying_twice_charges_once(processor: Processor) -> None:
    form = _payment(processor)
    for _ in range(2):
        assert "was paid" in _follow(processor, _post(processor, {**form, **GOOD}))
    intent = form["client_secret"].partition("_secret_")[0]
    assert len(processor.sdk.v1.charges.list({"payment_intent": intent}).data) == 1


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("number", "4242 4242 4242 4241", "card number is invalid"),
        ("number", "4242", "card number is incomplete"),
        ("number", "", "card number is incomplete"),
        ("number", "4111 1111 1111 1111", "takes test cards only"),
        ("expiry", "01 / 20", "in the past"),
        ("expiry", "13 / 34", "month and year"),
        ("expiry", "soon", "month and year"),
        ("cvc", "12", "has 3 digits"),
        ("cvc", "1234", "has 3 digits"),
    ],
)
def test_what_cannot_be_right_is_said_beside_its_field(
    processor: Processor, field: str, typed: str, words: str
) -> None:
    form = _payment(processor)
    answer = _post(processor, {**form, **GOOD, field: typed})
    assert answer.status_code == 422
    beside = answer.text.partition(f'id="{field}-problem"')[2].partition("</p>")[0]
    assert words in beside
    assert answer.text.count('class="problem"') == 1
    assert 'value="Ann Example"' in answer.text
    for name, kept in (("number", ""), ("cvc", ""), ("expiry", typed if field == "expiry" else GOOD["expiry"])):
        assert f'name="{name}" type="text" value="{kept}"' in answer.text
    assert _status(processor, form) == "requires_payment_method"


@pytest.mark.parametrize(
    ("number", "field", "words"),
    [
        ("4000000000000002", "number", "was declined"),
        ("4000000000009995", "number", "insufficient funds"),
        ("4000000000000069", "expiry", "has expired"),
        ("4000000000000127", "cvc", "is incorrect"),
        ("4000000000000341", "number", "was declined"),
    ],
)
def test_a_decline_is_said_beside_its_field_and_another_card_may_be_tried(
    processor: Processor, number: str, field: str, words: str
) -> None:
    form = _payment(processor)
    answer = _post(processor, {**form, **GOOD, "number": number})
    assert answer.status_code == 402
    assert words in answer.text.partition(f'id="{field}-problem"')[2].partition("</p>")[0]
    assert number not in answer.text
    assert "was paid" in _follow(processor, _post(processor, {**form, **GOOD}))


@pytest.mark.parametrize("number", ["4000002760003184", "4000002500003155"])
def test_the_bank_s_question(processor: Processor, number: str) -> None:
    form = _payment(processor)
    asked = _follow(processor, _post(processor, {**form, **GOOD, "number": number}))
    assert "Complete" in asked and _status(processor, form) == "requires_action"
    failed = _follow(processor, _post(processor, {**form, "answer": "fail"}))
    assert "unable to authenticate" in failed
    assert _status(processor, form) == "requires_payment_method"
    _post(processor, {**form, **GOOD, "number": number})
    assert "was paid" in _follow(processor, _post(processor, {**form, "answer": "complete"}))
    assert _status(processor, form) == "succeeded"


def test_saving_a_card_without_paying(processor: Processor) -> None:
    customer = processor.sdk.v1.customers.create().id
    intent = processor.sdk.v1.setup_intents.create({"customer": customer, "usage": "off_session"})
    secret = str(intent.client_secret)
    form = {"client_secret": secret, "return_url": f"{EMBEDDER}/saved", "publishable_key": KEY}
    declined = _post(processor, {**form, **GOOD, "number": "4000000000000002"}, "setup")
    assert declined.status_code == 402 and "was declined" in declined.text
    page = _follow(processor, _post(processor, {**form, **GOOD}, "setup"))
    assert "Your card was saved" in page and f"setup_intent={intent.id}" in page
    assert processor.sdk.v1.setup_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.parametrize(
    "change",
    [
        {"return_url": "https://elsewhere.example/"},
        {"return_url": f"{EMBEDDER}@elsewhere.example/"},
        {"return_url": f"{EMBEDDER}0/"},
        {"return_url": "//elsewhere.example/"},
        {"return_url": "javascript:alert(1)"},
        {"return_url": "http://shop.localhost:9\\@elsewhere.example/"},
        {"return_url": ""},
        {"client_secret": "pi_x_secret_y"},
        {"client_secret": ""},
        {"publishable_key": "pk_test_other"},
    ],
)
def test_a_frame_that_would_lead_elsewhere_is_refused(processor: Processor, change: dict[str, str]) -> None:
    form = {**_payment(processor), **change}
    for answer in (
        httpx.get(f"{processor.url}/frame/payment", params=form),
        _post(processor, {**form, **GOOD}),
    ):
        assert answer.status_code in (400, 401, 404) and "cannot be shown" in answer.text
        assert "elsewhere" not in answer.text


def test_no_number_and_no_code_is_kept_or_logged(tmp_path: Path) -> None:
    with processor_process("--data", str(tmp_path / "processor.sqlite")) as processor:
        form = _payment(processor)
        _post(processor, {**form, **GOOD, "number": "4000000000000002", "cvc": "987"})
        _post(processor, {**form, **GOOD, "number": "4111111111111111", "cvc": "987"})
        _post(processor, {**form, **GOOD, "cvc": "987"})
        assert _status(processor, form) == "succeeded"
    assert in_files(tmp_path, "Ann Example")
    for kept_nowhere in ("4242424242424242", "4242 4242 4242 4242", "4000000000000002", "4111111111111111", "987"):
        assert not in_files(tmp_path, f'"{kept_nowhere}"')
        assert len(kept_nowhere) < 4 or not in_files(tmp_path, kept_nowhere)


@contextmanager
def _shop(tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, dict[str, str]]]:
    """A site that frames the card form; the frame's address is put in afterwards."""
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<!doctype html><title>Shop</title><h1>Shop</h1>{pages.get(urlsplit(self.path).path, '')}".encode()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("cross-origin-embedder-policy", "require-corp")
            self.send_header("cross-origin-opener-policy", "same-origin")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://shop.localhost:{server.server_port}", pages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


def _fill(frame: FrameLocator, number: str) -> None:
    frame.get_by_label("Card number").fill(number)
    frame.get_by_label("Expiry date").fill("12 / 34")
    frame.get_by_label("Security code").fill("123")
    frame.get_by_role("button", name="Pay 12.50 EUR").click()


@pytest.mark.browser
@pytest.mark.parametrize("scripts", [True, False])
def test_a_person_pays_in_a_frame_of_another_origin(browser: Browser, certificate: Certificate, scripts: bool) -> None:
    with _shop(certificate.server()) as (shop, pages), processor_process("--embedder", shop) as processor:
        own_name = processor.url.replace("127.0.0.1", "processor.localhost")
        intent = processor.sdk.v1.payment_intents.create({"amount": 1250, "currency": "eur"})
        query = f"client_secret={intent.client_secret}&publishable_key={KEY}&return_url={quote(shop + '/paid?x=1')}"
        pages["/pay"] = (
            f'<iframe title="Card" width="500" height="520" src="{own_name}/frame/payment?{query}"></iframe>'
        )
        context = browser.new_context(java_script_enabled=scripts, ignore_https_errors=True)
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(f"{shop}/pay")
        frame = page.frame_locator("iframe")
        _fill(frame, "4000 0000 0000 9995")
        frame.get_by_text("Your card has insufficient funds.").wait_for()
        assert frame.get_by_label("Card number").input_value() == ""
        assert frame.get_by_label("Expiry date").input_value() == "12 / 34"
        _fill(frame, "4000 0027 6000 3184")
        frame.get_by_role("button", name="Fail").click()
        frame.get_by_text("unable to authenticate").wait_for()
        _fill(frame, "4000 0027 6000 3184")
        frame.get_by_role("button", name="Complete").click()
        if not scripts:
            frame.get_by_role("link", name="Continue").click()
        page.wait_for_url(f"{shop}/paid?x=1&*", timeout=15_000)
        returned = parse_qs(urlsplit(page.url).query)
        assert (returned["payment_intent"], returned["redirect_status"]) == ([intent.id], ["succeeded"])
        assert processor.sdk.v1.payment_intents.retrieve(intent.id).status == "succeeded"
        assert [text for text in complaints if "402" not in text] == [], complaints
        context.close()


@pytest.mark.browser
def test_another_site_cannot_frame_the_form(browser: Browser, processor: Processor) -> None:
    form = _payment(processor)
    with _shop() as (stranger, pages):
        query = "&".join(f"{name}={quote(value)}" for name, value in form.items())
        pages["/"] = f'<iframe src="{processor.url}/frame/payment?{query}"></iframe>'
        page = browser.new_page()
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        page.goto(stranger)
        page.wait_for_timeout(300)
        assert page.frame_locator("iframe").get_by_label("Card number").count() == 0
        assert any("frame-ancestors" in text for text in refused)
        page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_is_accessible(browser: Browser, processor: Processor, scheme: Any, tmp_path: Path) -> None:
    form = _payment(processor)
    context = browser.new_context(color_scheme=scheme, viewport={"width": 360, "height": 640}, bypass_csp=True)
    page = context.new_page()
    query = "&".join(f"{name}={quote(value)}" for name, value in form.items())
    page.goto(f"{processor.url}/frame/payment?{query}")
    assert judged(page).violations_count == 0
    page.get_by_role("button").click()
    page.get_by_text("card number is incomplete").wait_for()
    found = judged(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.screenshot(path=tmp_path / f"form-{scheme}.png", full_page=True)
    context.close()
