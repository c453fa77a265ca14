"""What every operation of the processor is given, and the reads and lists that they share."""

from dataclasses import dataclass
from typing import Any

from sandbox.loopback import token
from sandbox.processor.behaviour import Behaviour
from sandbox.processor.errors import Json, Refusal, no_such
from sandbox.processor.forms import Params
from sandbox.processor.settings import API_VERSION, Settings
from sandbox.processor.store import Store


@dataclass(frozen=True)
class Call:
    """One call: the store, the time in seconds, and who asked."""

    store: Store
    settings: Settings
    behaviour: Behaviour
    now: float
    request_id: str | None = None
    idempotency_key: str | None = None

    @property
    def second(self) -> int:
        """The time as Stripe writes it."""
        return int(self.now)

    def new_id(self, prefix: str) -> str:
        """An id with Stripe's prefix."""
        return f"{prefix}_{token(24)}"

    def find(self, kind: str, identifier: str, param: str = "id", *, status: int = 404) -> Json:
        """An object; Refusal `resource_missing` when there is none."""
        found = self.store.get(kind, identifier)
        if found is None:
            raise no_such(kind, identifier, param, status=status)
        return found

    def named(self, kind: str, params: Params, param: str) -> Json | None:
        """The object that a parameter names, or None when it was not sent."""
        identifier = params.text(param)
        return None if identifier is None else self.find(kind, identifier, param, status=400)

    def emit(self, kind: str, body: Json, previous: Json | None = None) -> None:
        """Record an event with a snapshot of the object, and a delivery to every endpoint that wants it."""
        endpoints = [
            endpoint
            for endpoint in self.store.newest_first("webhook_endpoint", {"status": "enabled"}, limit=100)
            if "*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"]
        ]
        data: Json = {"object": body}
        if previous is not None:
            data["previous_attributes"] = previous
        event: Json = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.second,
            "data": data,
            "livemode": False,
            "pending_webhooks": len(endpoints),
            "request": {"id": self.request_id, "idempotency_key": self.idempotency_key},
            "type": kind,
        }
        self.store.put(event)
        for endpoint in endpoints:
            for _ in range(max(1, self.behaviour.webhook_duplicate)):
                due = self.now + self.behaviour.webhook_delay_seconds
                held = self.behaviour.webhook_shuffle > 0
                self.store.add_delivery(event["id"], endpoint["id"], due, held=held)
        if 0 < self.behaviour.webhook_shuffle <= self.store.held():
            self.store.release_reversed()


def page(call: Call, params: Params, kind: str, url: str, filters: tuple[str, ...] = (), **fixed: object) -> Json:
    """One page of a list, newest first, as Stripe's list object."""
    limit = params.integer("limit")
    limit = 10 if limit is None else limit
    if not 1 <= limit <= 100:
        raise Refusal("Invalid limit: it must be between 1 and 100", param="limit")
    after, before = params.text("starting_after"), params.text("ending_before")
    for param, identifier in (("starting_after", after), ("ending_before", before)):
        if identifier is not None:
            call.find(kind, identifier, param, status=400)
    equal: dict[str, object] = dict(fixed)
    for name in filters:
        value = params.text(name)
        if value is not None:
            equal[name] = value
    types = tuple(params.strings("types")) if kind == "event" else ()
    bounds = params.inner("created")
    created = {name: bounds.integer(name) for name in ("gt", "gte", "lt", "lte")}
    rows = call.store.newest_first(
        kind,
        equal,
        limit=limit + 1,
        after=after,
        before=before,
        types=types,
        created={name: value for name, value in created.items() if value is not None},
    )
    more = len(rows) > limit
    if more:
        rows = rows[1:] if before is not None else rows[:limit]
    return {"object": "list", "url": url, "has_more": more, "data": rows}


_EXPANDABLE = {
    "customer": "customer",
    "payment_method": "payment_method",
    "latest_charge": "charge",
    "charge": "charge",
    "payment_intent": "payment_intent",
}


def expand(call: Call, body: Any, paths: list[str]) -> Any:
    """Replace ids by their objects along paths such as `latest_charge.payment_method` or `data.customer`."""
    for path in paths:
        if path.count(".") > 3:
            raise Refusal("You cannot expand more than 4 levels of a property", param="expand")
        _expand(call, body, path.split("."), path)
    return body


def _expand(call: Call, node: Any, steps: list[str], path: str) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(call, item, steps, path)
        return
    if not isinstance(node, dict):
        return
    name, rest = steps[0], steps[1:]
    if name not in node or (name not in _EXPANDABLE and not rest):
        raise Refusal(f"This property cannot be expanded ({path}).", param="expand")
    if isinstance(node[name], str) and name in _EXPANDABLE:
        node[name] = call.store.get(_EXPANDABLE[name], node[name]) or node[name]
    if rest:
        _expand(call, node[name], rest, path)
