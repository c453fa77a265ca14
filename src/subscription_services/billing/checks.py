"""Live checks of the promises about money and cards."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta

import httpx
import msgspec
from sqlalchemy import Connection, LargeBinary, String, select

from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.model import metadata

from .accounts import Wrong, recent_paid, wrong_accounts
from .card_numbers import contains_card_number
from .errors import CardNumberRefused, ProcessorRefused, ProcessorUnavailable
from .ports import IntentStatus
from .processor import StripeProcessor
from .settings import BillingSettings

TEST_CARD = "4242 4242 4242 4242"
ROWS = 1000
"""Newest rows of each table that are searched."""
_SECONDS = 10.0


def checks() -> list[Check]:
    """The room's checks."""
    return [
        Check(
            "comp.pci",
            "A test card number is sent to the public sign-up through the front door and must be refused; and the "
            "newest rows of every table are searched for card numbers.",
            _no_card_numbers,
            timedelta(minutes=30),
            missing="the processor's attestation is on no register yet",
        ),
        Check(
            "sub.billing",
            "A webhook with a false signature must be refused; every paid invoice must have exactly one payment of "
            "its total, numbers without gaps and no more refunded than was paid; and the newest payments are compared "
            "with the processor's own record.",
            _payments_agree,
            timedelta(minutes=30),
            missing="there are no credit notes yet",
        ),
    ]


def _client(doors: Doors) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=doors.certificate)
    return httpx.AsyncClient(
        base_url=doors.https_url, headers=doors.headers(), verify=context, trust_env=False, timeout=_SECONDS
    )


async def _no_card_numbers(doors: Doors) -> Finding:
    async with _client(doors) as client:
        typed = {"email": "card-check@invalid.example", "name": TEST_CARD, "password": "x"}
        answer = await client.post("/api/identity.sign_up", json=typed)
    code = answer.json().get("code") if answer.headers.get("content-type", "").endswith("json") else ""
    if answer.status_code >= 500:
        return Finding(
            Verdict.COULD_NOT_CHECK, "The front door did not answer a card number in a way that can be read."
        )
    if code != CardNumberRefused.code:
        return Finding(Verdict.BROKEN, "A card number typed into the sign-up was not refused as one.")
    if not contains_card_number(f"x {TEST_CARD} y"):
        return Finding(Verdict.COULD_NOT_CHECK, "The search for card numbers does not find a known one.")
    rows, found = await doors.kernel.store.read(search)
    evidence: dict[str, str | int] = {"rows": rows, "tables": len(metadata.tables), "found": ", ".join(found)}
    if found:
        return Finding(Verdict.BROKEN, f"Something like a card number is stored in {found[0]}.", evidence)
    return Finding(Verdict.KEPT, "A card number was refused, and none is stored.", evidence)


def search(connection: Connection) -> tuple[int, list[str]]:
    """Rows looked at, and the columns that hold something like a card number."""
    count, found = 0, []
    for table in metadata.sorted_tables:
        columns = [column for column in table.c if isinstance(column.type, String | LargeBinary)]
        if not columns:
            continue
        newest = table.c.get("created_at", table.c.get("at", next(iter(table.c))))
        for row in connection.execute(select(*columns).order_by(newest.desc()).limit(ROWS)):
            count += 1
            found += [f"{table.name}.{name}" for name, value in row._mapping.items() if _holds(value)]
    return count, sorted(set(found))


def _holds(value: object) -> bool:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return False
    return isinstance(value, str) and contains_card_number(value)


async def _payments_agree(doors: Doors) -> Finding:
    async with _client(doors) as client:
        forged = msgspec.json.encode({"id": "evt_forged", "object": "event", "type": "payment_intent.succeeded"})
        signature = {"Stripe-Signature": "t=1,v1=00", "Content-Type": "application/json"}
        answer = await client.post("/webhooks/processor", content=forged, headers=signature)
    if answer.status_code != 400:
        return Finding(Verdict.BROKEN, f"A webhook with a false signature was answered with {answer.status_code}.")
    wrong: Wrong = await doors.kernel.store.read(wrong_accounts)
    evidence: dict[str, str | int] = {"invoices": wrong.invoices, "payments": wrong.payments}
    if wrong.says:
        return Finding(Verdict.BROKEN, wrong.says[0], {**evidence, "wrong": len(wrong.says)})
    return await _compare(doors, evidence)


async def _compare(doors: Doors, evidence: dict[str, str | int]) -> Finding:
    processor = StripeProcessor(doors.settings.of(BillingSettings))
    newest = await doors.kernel.store.read(recent_paid)
    for payment, intent, amount in newest:
        try:
            theirs = await asyncio.to_thread(processor.retrieve_intent, intent)
        except (ProcessorUnavailable, ProcessorRefused):
            return Finding(Verdict.COULD_NOT_CHECK, "The payment processor did not answer.", evidence)
        if theirs.status is not IntentStatus.SUCCEEDED or theirs.received != amount or theirs.payment != payment:
            return Finding(Verdict.BROKEN, "A payment differs from the processor's own record.", evidence)
    says = "Every paid invoice has exactly one payment, and the newest agree with the processor."
    return Finding(Verdict.KEPT, says, {**evidence, "compared": len(newest)})
