"""The mailbox: what smtplib sends is read as page and JSON, and nothing else happens to it."""

import re
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

from sandbox.mailbox import MailboxSettings, mailbox
from tests.sandbox.processes import Certificate, process
from tests.seeing import judged


@dataclass(frozen=True)
class Box:
    """A running mailbox."""

    host: str
    port: int
    url: str

    def messages(self) -> list[dict[str, object]]:
        """What the list says, newest first."""
        return list(httpx.get(f"{self.url}/messages.json").json()["messages"])

    def read(self, number: object) -> dict[str, object]:
        """One message."""
        return dict(httpx.get(f"{self.url}/messages/{number}.json").json())


@pytest.fixture(scope="module")
def running(certificate: Certificate) -> Iterator[Box]:
    tls = ("--cert", str(certificate.cert), "--key", str(certificate.key))
    with process("sandbox.mailbox", "--smtp-port", "0", "--http-port", "0", "--keep", "5", *tls) as line:
        found = re.fullmatch(r"mailbox ready: smtp (\S+):(\d+), read at (\S+)", line)
        assert found, line
        yield Box(found[1], int(found[2]), found[3])


@pytest.fixture
def box(running: Box) -> Box:
    assert httpx.delete(f"{running.url}/messages").status_code == 200
    return running


def _letter(subject: str = "Confirm your address", html: str | None = None) -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = "Subscriptions <noreply@example.org>"
    letter["To"] = "ann@example.org"
    letter["Subject"] = subject
    letter.set_content("Grüße!\nOpen https://localhost:8443/verify?token=a_b-c&x=1.\n")
    if html is not None:
        letter.add_alternative(html, subtype="html")
    return letter


def _send(box: Box, letter: EmailMessage) -> None:
    with smtplib.SMTP(box.host, box.port, timeout=10) as smtp:
        smtp.send_message(letter)


def test_a_message_is_read_as_json(box: Box) -> None:
    _send(box, _letter(html='<p>Open <a href="https://localhost:8443/other">this</a></p>'))
    (listed,) = box.messages()
    assert (listed["subject"], listed["to"]) == ("Confirm your address", ["ann@example.org"])
    read = box.read(listed["id"])
    assert read["from"] == "Subscriptions <noreply@example.org>"
    assert read["mail_from"] == "noreply@example.org"
    assert str(read["text"]).startswith("Grüße!")
    assert read["links"] == ["https://localhost:8443/verify?token=a_b-c&x=1", "https://localhost:8443/other"]
    assert read["encrypted"] is False


def test_starttls_is_offered_and_used(box: Box, certificate: Certificate) -> None:
    trusted = ssl.create_default_context(cafile=str(certificate.cert))
    with smtplib.SMTP(box.host, box.port, timeout=10) as smtp:
        smtp.starttls(context=trusted)
        smtp.send_message(_letter())
    assert box.read(box.messages()[0]["id"])["encrypted"] is True


def test_newest_first_bounded_and_emptied(box: Box) -> None:
    for number in range(7):
        _send(box, _letter(f"Letter {number}"))
    assert [found["subject"] for found in box.messages()] == [f"Letter {number}" for number in (6, 5, 4, 3, 2)]
    page = httpx.get(box.url).text
    assert page.index("Letter 6") < page.index("Letter 2") and "Letter 1<" not in page
    assert httpx.delete(f"{box.url}/messages").json() == {"deleted": 5}
    assert box.messages() == [] and "No mail yet" in httpx.get(box.url).text


def test_one_recipient_s_messages(box: Box) -> None:
    _send(box, _letter())
    url = f"{box.url}/messages.json"
    assert len(httpx.get(url, params={"to": "ann@example.org"}).json()["messages"]) == 1
    assert httpx.get(url, params={"to": "bob@example.org"}).json() == {"messages": []}


@pytest.mark.parametrize("code", [451, 550])
def test_the_server_can_be_down_for_a_while(box: Box, code: int) -> None:
    asked = {"fail_next": 1, "code": code}
    assert httpx.post(f"{box.url}/sandbox/behaviour", json=asked).status_code == 200
    with pytest.raises(smtplib.SMTPDataError) as caught:
        _send(box, _letter())
    assert caught.value.smtp_code == code
    _send(box, _letter())
    assert len(box.messages()) == 1


def test_what_is_in_a_message_stays_in_its_frame(box: Box) -> None:
    _send(box, _letter("<script>alert(1)</script>", html="<script>parent.x=1</script><b>Hi</b>"))
    number = box.messages()[0]["id"]
    page = httpx.get(f"{box.url}/messages/{number}")
    assert "<script>" not in page.text and "script-src" not in page.headers["content-security-policy"]
    inside = httpx.get(f"{box.url}/messages/{number}/html")
    policy = inside.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "allow-scripts" not in policy and "sandbox " in policy
    raw = httpx.get(f"{box.url}/messages/{number}/raw")
    assert raw.headers["content-type"].startswith("text/plain") and b"Subject:" in raw.content


def test_broken_messages_are_kept_too(box: Box) -> None:
    with smtplib.SMTP(box.host, box.port, timeout=10) as smtp:
        broken = b"Subject: =?utf-8?b?\xff?=\r\nContent-Type: text/plain; charset=nope\r\n\r\n\xff\xfe\x00\r\n"
        smtp.sendmail("a@example.org", ["b@example.org"], broken)
    number = box.messages()[0]["id"]
    assert httpx.get(f"{box.url}/messages/{number}").status_code == 200
    assert httpx.get(box.url).status_code == 200


def test_strangers_are_refused(box: Box) -> None:
    assert httpx.get(box.url, headers={"Host": "evil.example"}).status_code == 421
    assert httpx.get(f"{box.url}/messages/999999").status_code == 404
    plain = httpx.post(f"{box.url}/sandbox/behaviour", content=b"{}", headers={"content-type": "text/plain"})
    assert plain.status_code == 415


def test_the_same_runs_inside_a_test() -> None:
    with mailbox(MailboxSettings()) as where:
        _send(Box(where.smtp_host, where.smtp_port, where.url), _letter())
        assert len(httpx.get(f"{where.url}/messages.json").json()["messages"]) == 1


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible_and_links_open_in_the_top_window(
    box: Box, scheme: str, tmp_path: Path, chromium: str
) -> None:
    target = f"{box.url}/sandbox/health"
    _send(box, _letter(html=f'<html lang="en"><title>Hi</title><p><a href="{target}">Go on</a></p></html>'))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": 360, "height": 700},
            bypass_csp=True,
        )
        page = context.new_page()
        page.goto(box.url)
        assert judged(page).violations_count == 0
        page.screenshot(path=tmp_path / "list.png")
        page.get_by_role("link", name="Confirm your address").click()
        page.wait_for_url("**/messages/*")
        found = judged(page, iframes=False)
        assert found.violations_count == 0, found.generate_report()
        page.screenshot(path=tmp_path / "letter.png", full_page=True)
        context.close()
        page = browser.new_page()
        page.goto(f"{box.url}/messages/{box.messages()[0]['id']}")
        page.frame_locator("iframe").get_by_role("link", name="Go on").click()
        page.wait_for_url(target)
        browser.close()
