"""Where the processor tells us that something happened. We believe the signature, and ask again for the rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec
from starlette.responses import Response

from subscription_services.billing.operations.events import receive_event
from subscription_services.billing.ports import Processor
from subscription_services.billing.requests import ReceiveEvent
from subscription_services.kernel.actors import System
from subscription_services.kernel.perform import perform
from subscription_services.web.call import Call
from subscription_services.web.routes import Route, post

PROCESSOR = System("processor")


@dataclass(frozen=True, slots=True)
class Webhook:
    """The endpoint, bound to the processor whose signature it checks."""

    processor: Processor

    async def receive(self, call: Call) -> Response:
        """Verify the signature over the raw body, then note the event; 200 only once that is durable."""
        body = await call.request.body()
        signature = call.request.headers.get("stripe-signature", "")
        event = await asyncio.to_thread(self.processor.read_event, body, signature)
        request = ReceiveEvent(event.id, event.kind[:80], event.object, event.payment)
        answer = await perform(call.site.kernel, receive_event, PROCESSOR, request, origin=call.origin)
        return Response(msgspec.json.encode({"received": answer.id}), media_type="application/json")

    def routes(self) -> tuple[Route, ...]:
        """The endpoint."""
        return (post("/webhooks/processor", self.receive, receive_event, machine=True),)
