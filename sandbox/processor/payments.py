"""Payment intents: from asking for money to having it, one state at a time (capture is automatic)."""

from sandbox.loopback import token
from sandbox.processor.calls import Call, page
from sandbox.processor.cards import Decline, refuse
from sandbox.processor.charges import new_charge
from sandbox.processor.currencies import check_amount, read_money
from sandbox.processor.customers import living
from sandbox.processor.errors import Json, Refusal, unexpected_state
from sandbox.processor.forms import Params
from sandbox.processor.intents import (
    AUTHENTICATION_REQUIRED,
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

_REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")


def create(call: Call, params: Params) -> Json:
    """POST /v1/payment_intents, confirmed at once when asked."""
    amount, currency = read_money(params)
    customer = params.text("customer")
    if customer is not None:
        living(call, customer)
    identifier = call.new_id("pi")
    intent: Json = {
        "id": identifier,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": read_types(params),
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.one_of("capture_method", ("automatic", "automatic_async"), "automatic"),
        "client_secret": f"{identifier}_secret_{token(25)}",
        "confirmation_method": params.one_of("confirmation_method", ("automatic",), "automatic"),
        "created": call.second,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": params.text("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": params.metadata({}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"network": None, "request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": params.text("receipt_email"),
        "review": None,
        "setup_future_usage": params.one_of("setup_future_usage", ("off_session", "on_session")),
        "shipping": None,
        "source": None,
        "statement_descriptor": params.text("statement_descriptor", most=22),
        "statement_descriptor_suffix": params.text("statement_descriptor_suffix", most=22),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    confirmed = params.flag("confirm")
    off_session, strict = params.flag("off_session"), params.flag("error_on_requires_action")
    return_url = _return_url(call, params)
    for name, given in (("off_session", off_session), ("error_on_requires_action", strict)):
        if given and not confirmed:
            raise Refusal(f"You can only pass {name} together with confirm=true.", param=name)
    chosen = params.text("payment_method")
    params.done()
    if chosen is not None:
        method = usable(call, chosen)
        check_owner(intent, method)
        intent = {**intent, "payment_method": method["id"], "status": "requires_confirmation"}
    call.store.put(intent)
    call.emit("payment_intent.created", intent)
    if not confirmed:
        return intent
    return confirm_with(call, intent, None, off_session=off_session, strict=strict, return_url=return_url)


def _return_url(call: Call, params: Params) -> str | None:
    url = params.text("return_url")
    return None if url is None else check_return_url(call, url)


def find(call: Call, intent: str) -> Json:
    """A payment intent; Refusal `resource_missing` when there is none."""
    return call.find("payment_intent", intent, "intent")


def retrieve(call: Call, params: Params, intent: str) -> Json:
    """GET /v1/payment_intents/{id}."""
    params.text("client_secret")
    params.done()
    return find(call, intent)


def listing(call: Call, params: Params) -> Json:
    """GET /v1/payment_intents."""
    listed = page(call, params, "payment_intent", "/v1/payment_intents", ("customer",))
    params.done()
    return listed


def update(call: Call, params: Params, intent: str) -> Json:
    """POST /v1/payment_intents/{id}."""
    found = find(call, intent)
    changed = {**found, "metadata": params.metadata(found["metadata"])}
    if params.has("description"):
        changed["description"] = params.text("description")
    if params.has("setup_future_usage"):
        changed["setup_future_usage"] = params.one_of("setup_future_usage", ("off_session", "on_session"))
    amount = params.integer("amount")
    params.done()
    if amount is not None:
        _check_open(found, "update")
        changed["amount"] = check_amount(amount, found["currency"])
    return call.store.put(changed)


def _check_open(intent: Json, verb: str) -> None:
    if intent["status"] not in OPEN:
        message = (
            f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}. "
            f"Only a PaymentIntent with one of the following statuses allows it: {', '.join(OPEN)}."
        )
        raise unexpected_state("payment_intent", message, payment_intent=intent)


def confirm(call: Call, params: Params, intent: str) -> Json:
    """POST /v1/payment_intents/{id}/confirm."""
    found = find(call, intent)
    chosen = params.text("payment_method")
    off_session, strict = params.flag("off_session"), params.flag("error_on_requires_action")
    usage = params.one_of("setup_future_usage", ("off_session", "on_session"), found["setup_future_usage"])
    return_url = _return_url(call, params)
    params.done()
    found = {**found, "setup_future_usage": usage}
    return confirm_with(call, found, chosen, off_session=off_session, strict=strict, return_url=return_url)


def confirm_with(
    call: Call,
    intent: Json,
    chosen: str | None,
    *,
    off_session: bool = False,
    strict: bool = False,
    return_url: str | None = None,
) -> Json:
    """Try to take the money now. Refusal 402 for a decline, which stays on the intent as `last_payment_error`."""
    _check_open(intent, "confirm")
    identifier = chosen or intent["payment_method"]
    if identifier is None:
        message = (
            "You cannot confirm this PaymentIntent because it's missing a payment method. Update it with a "
            "payment method, or give one as you confirm."
        )
        raise unexpected_state("payment_intent", message, payment_intent=intent)
    method = usable(call, identifier)
    check_owner(intent, method)
    intent = {**intent, "payment_method": method["id"], "last_payment_error": None, "next_action": None}
    if needs_authentication(call, method, off_session=off_session):
        if off_session or strict:
            return _decline(call, intent, method, AUTHENTICATION_REQUIRED, charged=not strict)
        intent = {**intent, "status": "requires_action"}
        intent = call.store.put({**intent, "next_action": next_action(call, intent, return_url)})
        call.emit("payment_intent.requires_action", intent)
        return intent
    return _charge(call, intent, method)


def _charge(call: Call, intent: Json, method: Json) -> Json:
    decline = behaviour(call, method).decline
    if decline is not None:
        return _decline(call, intent, method, decline)
    if intent["setup_future_usage"] and intent["customer"]:
        method = attach_to(call, method, intent["customer"])
        mark(call, method, set_up=True)
    elif method["customer"] is None:
        mark(call, method, spent=True)
    charge = new_charge(call, intent, method, None)
    intent = {
        **intent,
        "status": "succeeded",
        "amount_received": intent["amount"],
        "latest_charge": charge["id"],
        "next_action": None,
    }
    call.store.put(intent)
    call.emit("charge.succeeded", charge)
    call.emit("payment_intent.succeeded", intent)
    return intent


def _decline(call: Call, intent: Json, method: Json, decline: Decline, *, charged: bool = True) -> Json:
    error = declined(decline, method)
    if charged:
        charge = new_charge(call, intent, method, decline)
        error["charge"] = charge["id"]
        intent = {**intent, "latest_charge": charge["id"]}
        call.emit("charge.failed", charge)
    intent = {
        **intent,
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": error,
        "next_action": None,
    }
    call.store.put(intent)
    call.emit("payment_intent.payment_failed", intent)
    charge_id = {"charge": error["charge"]} if charged else {}
    raise refuse(decline, payment_intent=intent, payment_method=method, **charge_id)


def authenticate(call: Call, intent: Json, *, passed: bool) -> Json:
    """The cardholder's answer to the 3-D Secure challenge; Refusal 402 when the charge is then declined."""
    if intent["status"] != "requires_action":
        raise unexpected_state("payment_intent", "Nothing waits for authentication.", payment_intent=intent)
    method = call.find("payment_method", intent["payment_method"])
    if passed:
        return _charge(call, intent, method)
    error = {"code": "payment_intent_authentication_failure", **failed_authentication(method)}
    intent = {
        **intent,
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": error,
        "next_action": None,
    }
    call.store.put(intent)
    call.emit("payment_intent.payment_failed", intent)
    return intent


def cancel(call: Call, params: Params, intent: str) -> Json:
    """POST /v1/payment_intents/{id}/cancel; not once the money was taken."""
    found = find(call, intent)
    reason = params.one_of("cancellation_reason", _REASONS)
    params.done()
    _check_open(found, "cancel")
    found = {
        **found,
        "status": "canceled",
        "canceled_at": call.second,
        "cancellation_reason": reason,
        "next_action": None,
    }
    call.store.put(found)
    call.emit("payment_intent.canceled", found)
    return found
