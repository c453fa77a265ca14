"""What was typed into any form stands in no file of the service, nor in what it printed."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import sqlcipher3
from playwright.sync_api import Browser

from subscription_services.keys.roots.file import read_root
from tests.stories.person import meet
from tests.stories.running import start, unique
from tests.stories.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stories"), pytest.mark.timeout(280)]


def forms_of(text: str) -> list[bytes]:
    """The ways in which text could stand in a file."""
    raw = text.encode()
    shifted = [base64.b64encode(b"\0" * pad + raw)[4:-4] for pad in range(3)]
    return [raw, text.encode("utf-16-le"), raw.hex().encode(), raw[::-1], *shifted]


def opened(data: Path, copy: Path) -> bytes:
    """All that is in a backup of the keys for somebody who has the root key: wrapped keys, and nobody's data."""
    connection = sqlcipher3.connect(str(copy))
    try:
        connection.execute(f"PRAGMA key = \"x'{read_root(data / 'keys' / 'root.key').store_key().hex()}'\"")
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = [row for name in tables for row in connection.execute(f'SELECT * FROM "{name}"')]
    finally:
        connection.close()
    assert "data_key" in tables and rows
    return b"\n".join(item if isinstance(item, bytes) else str(item).encode() for row in rows for item in row)


def test_nothing_that_was_typed_stands_in_a_file(tmp_path: Path, browser: Browser) -> None:
    service = start(tmp_path)
    try:
        ada = meet(service, browser, f"{unique('canarymail')}@example.org")
        ada.name, ada.password = unique("Canaryname"), unique("canary-secret-")
        ada.sign_up()
        ada.sign_in()
        ada.turn_on_two_factor()
        ada.sign_out()
        ada.sign_in()
        ada.choose_a_plan()
        holder = unique("Canaryholder")
        ada.pay(holder=holder)
        company, street = unique("Canarycompany"), unique("Canarystreet ")
        ada.go("/account/payment-methods", "billing-details")
        ada.page.locator("input[name=name]").fill(company)
        ada.page.locator("textarea[name=address]").fill(f"{street}\n12345 Town")
        ada.press("Save")
        assert street in ada.page.content()
        wrong = Visitor(service).submit("/sign-in", email=unique("canarytypo@"), password=unique("canarywrong"))
        assert wrong.status_code in (401, 403)
        cookies = ada.page.context.cookies()
        session = next(item["value"] for item in cookies if item["name"] == "__Host-session")
    finally:
        service.stop()
    canaries = [ada.email, ada.email.partition("@")[0], ada.name, ada.password, ada.secret, session, *ada.codes[:2]]
    canaries += [
        company,
        street.strip(),
        "canarytypo",
        "canarywrong",
        holder,
        "4242424242424242",
        "4242 4242 4242 4242",
    ]
    copies = sorted((service.data / "key-backups").glob("keys-*.db"))
    assert copies, "the keys were not backed up"
    files = [path for path in service.data.rglob("*") if path.is_file()]
    assert len(files) > 4
    public = service.certificate
    assert [path for path in files if path != public and path.stat().st_mode & 0o077] == [], (
        "files that others can read"
    )
    contents = {str(path): path.read_bytes() for path in files} | {"printed": service.said.encode()}
    found = [
        (canary, name) for name, content in contents.items() for canary in canaries for form in forms_of(canary)
        if form in content
    ]  # fmt: skip
    assert found == []
    inside = [
        (canary, copy.name) for copy in copies for text in [opened(service.data, copy)] for canary in canaries
        for form in forms_of(canary) if form in text
    ]  # fmt: skip
    assert inside == []
    for store in service.data.rglob("*.db"):
        assert not store.read_bytes().startswith(b"SQLite format 3"), store
