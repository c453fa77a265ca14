"""Setup intents: a card saved for later without taking money."""

from sandbox.loopback import token
from sandbox.processor.calls import Call, page
from sandbox.processor.cards import refuse
from sandbox.processor.customers import living
from sandbox.processor.errors import Json, unexpected_state
from sandbox.processor.forms import Params
from sandbox.processor.intents import (
    OPEN,
    check_owner,
    check_return_url,
    declined,
    failed_authentication,
    needs_authentication,
    next_action,
    read_types,
)
from sandbox.processor.methods import attach_to, behaviour, mark, usable


def create(call: Call, params: Params) -> Json:
    """POST /v1/setup_intents, confirmed at once when asked."""
    customer = params.text("customer")
    if customer is not None:
        living(call, customer)
    identifier = call.new_id("seti")
    intent: Json = {
        "id": identifier,
        "object": "setup_intent",
        "application": None,
        "attach_to_self": False,
        "automatic_payment_methods": read_types(params),
        "cancellation_reason": None,
        "client_secret": f"{identifier}_secret_{token(25)}",
        "created": call.second,
        "customer": customer,
        "customer_account": None,
        "description": params.text("description"),
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": params.metadata({}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": params.one_of("usage", ("off_session", "on_session"), "off_session"),
    }
    chosen, confirmed = params.text("payment_method"), params.flag("confirm")
    url = params.text("return_url")
    return_url = None if url is None else check_return_url(call, url)
    params.done()
    if chosen is not None:
        method = usable(call, chosen)
        check_owner(intent, method)
        intent = {**intent, "payment_method": method["id"], "status": "requires_confirmation"}
    call.store.put(intent)
    call.emit("setup_intent.created", intent)
    return confirm_with(call, intent, None, return_url=return_url) if confirmed else intent


def find(call: Call, intent: str) -> Json:
    """A setup intent; Refusal `resource_missing` when there is none."""
    return call.find("setup_intent", intent, "intent")


def retrieve(call: Call, params: Params, intent: str) -> Json:
    """GET /v1/setup_intents/{id}."""
    params.text("client_secret")
    params.done()
    return find(call, intent)


def listing(call: Call, params: Params) -> Json:
    """GET /v1/setup_intents."""
    filters = ("customer", "payment_method")
    listed = page(call, params, "setup_intent", "/v1/setup_intents", filters)
    params.done()
    return listed


def confirm(call: Call, params: Params, intent: str) -> Json:
    """POST /v1/setup_intents/{id}/confirm."""
    found = find(call, intent)
    chosen = params.text("payment_method")
    url = params.text("return_url")
    return_url = None if url is None else check_return_url(call, url)
    params.done()
    return confirm_with(call, found, chosen, return_url=return_url)


def _check_open(intent: Json, verb: str) -> None:
    if intent["status"] not in OPEN:
        message = f"You cannot {verb} this SetupIntent because it has a status of {intent['status']}."
        raise unexpected_state("setup_intent", message, setup_intent=intent)


def confirm_with(call: Call, intent: Json, chosen: str | None, *, return_url: str | None = None) -> Json:
    """Try to save the card. Refusal 402 when its bank declines."""
    _check_open(intent, "confirm")
    identifier = chosen or intent["payment_method"]
    if identifier is None:
        message = "You cannot confirm this SetupIntent because it's missing a payment method."
        raise unexpected_state("setup_intent", message, setup_intent=intent)
    method = usable(call, identifier)
    check_owner(intent, method)
    intent = {**intent, "payment_method": method["id"], "last_setup_error": None, "next_action": None}
    card = behaviour(call, method)
    if card.decline is not None and not card.attaches:
        intent = _failed(call, intent, declined(card.decline, method))
        raise refuse(card.decline, setup_intent=intent, payment_method=method)
    if needs_authentication(call, method, off_session=False):
        intent = {**intent, "status": "requires_action"}
        intent = call.store.put({**intent, "next_action": next_action(call, intent, return_url)})
        call.emit("setup_intent.requires_action", intent)
        return intent
    return _succeed(call, intent, method)


def _succeed(call: Call, intent: Json, method: Json) -> Json:
    if intent["customer"]:
        method = attach_to(call, method, intent["customer"])
    mark(call, method, set_up=intent["usage"] == "off_session")
    intent = call.store.put({**intent, "status": "succeeded", "next_action": None})
    call.emit("setup_intent.succeeded", intent)
    return intent


def _failed(call: Call, intent: Json, error: Json) -> Json:
    intent = {
        **intent,
        "status": "requires_payment_method",
        "payment_method": None,
        "last_setup_error": error,
        "next_action": None,
    }
    call.store.put(intent)
    call.emit("setup_intent.setup_failed", intent)
    return intent


def authenticate(call: Call, intent: Json, *, passed: bool) -> Json:
    """The cardholder's answer to the 3-D Secure challenge."""
    if intent["status"] != "requires_action":
        raise unexpected_state("setup_intent", "Nothing waits for authentication.", setup_intent=intent)
    method = call.find("payment_method", intent["payment_method"])
    if passed:
        return _succeed(call, intent, method)
    error = {"code": "setup_intent_authentication_failure", **failed_authentication(method)}
    return _failed(call, intent, error)


def cancel(call: Call, params: Params, intent: str) -> Json:
    """POST /v1/setup_intents/{id}/cancel."""
    found = find(call, intent)
    reason = params.one_of("cancellation_reason", ("abandoned", "duplicate", "requested_by_customer"))
    params.done()
    _check_open(found, "cancel")
    found = {**found, "status": "canceled", "cancellation_reason": reason, "next_action": None}
    call.store.put(found)
    call.emit("setup_intent.canceled", found)
    return found
