"""Webhook deliveries: signed, at least once, retried with growing pauses, to this machine only."""

import asyncio
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx

from sandbox.loopback import clock
from sandbox.processor.errors import Json
from sandbox.processor.settings import Settings
from sandbox.processor.store import Delivery, Store

_MOST_ATTEMPTS = 16
_LONGEST_PAUSE = 60.0
_PATIENCE = 15.0


def signature(payload: bytes, secret: str, moment: int) -> str:
    """The value of `Stripe-Signature` (scheme v1: HMAC-SHA-256 over time, a dot and the body)."""
    mac = hmac.new(secret.encode(), f"{moment}.".encode() + payload, hashlib.sha256)
    return f"t={moment},v1={mac.hexdigest()}"


class Deliverer:
    """Sends what is due, one after the other, so that an order asked for is kept."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._pause = settings.retry_seconds
        self._news = asyncio.Event()
        trusted = ssl.create_default_context(cafile=str(settings.ca) if settings.ca else None)
        trusted.minimum_version = ssl.TLSVersion.TLSv1_3
        self._client = httpx.AsyncClient(verify=trusted, timeout=_PATIENCE, trust_env=False, follow_redirects=False)

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with self._client:
            while True:
                self._news.clear()
                delivery = self._store.next_delivery(clock())
                if delivery is not None:
                    await self._deliver(delivery)
                    continue
                due = self._store.next_due()
                wait = None if due is None else max(0.0, due - clock())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), wait)

    async def _deliver(self, delivery: Delivery) -> None:
        event = self._store.get("event", delivery.event)
        endpoint = self._store.get("webhook_endpoint", delivery.endpoint)
        if event is None or endpoint is None or endpoint["status"] != "enabled":
            self._note(delivery, "endpoint gone", good=False, final=True)
            return
        try:
            answer = await self._send(event, endpoint)
        except httpx.HTTPError as error:
            self._note(delivery, type(error).__name__, good=False)
        else:
            self._note(delivery, str(answer.status_code), good=answer.is_success)

    async def _send(self, event: Json, endpoint: Json) -> httpx.Response:
        payload = json.dumps(event, indent=2).encode()
        secret = self._store.hidden(endpoint["id"])["secret"]
        parts = urlsplit(endpoint["url"])
        host = parts.hostname or ""
        local = host.endswith(".localhost")
        port = f":{parts.port}" if parts.port else ""
        url = parts._replace(netloc=f"127.0.0.1{port}").geturl() if local else endpoint["url"]
        headers = {
            "content-type": "application/json; charset=utf-8",
            "host": parts.netloc,
            "stripe-signature": signature(payload, secret, int(clock())),
            "user-agent": "Stripe/1.0 (sandbox)",
        }
        extensions = {"sni_hostname": host} if local else {}
        return await self._client.post(url, content=payload, headers=headers, extensions=extensions)

    def _note(self, delivery: Delivery, answer: str, *, good: bool, final: bool = False) -> None:
        again = None
        state = "done" if good else "given_up"
        if not good and not final and delivery.attempts + 1 < _MOST_ATTEMPTS:
            state = "waiting"
            again = clock() + min(_LONGEST_PAUSE, self._pause * 2**delivery.attempts)
        with self._store.transaction():
            self._store.delivered(delivery.seq, answer, again_at=again, state=state)


@asynccontextmanager
async def delivering(deliverer: Deliverer) -> AsyncIterator[None]:
    """Deliver in the background for as long as this is open."""
    task = asyncio.create_task(deliverer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
