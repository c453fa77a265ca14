"""Charges (one attempt to move money) and refunds (moving it back, never more than was paid)."""

from sandbox.processor.calls import Call, page
from sandbox.processor.cards import Decline
from sandbox.processor.currencies import written
from sandbox.processor.errors import Json, Refusal, missing
from sandbox.processor.forms import Params

_REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def new_charge(call: Call, intent: Json, method: Json, decline: Decline | None) -> Json:
    """The charge of an attempt, paid or declined."""
    paid = decline is None
    outcome = {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network" if paid else "declined_by_network",
        "reason": None if decline is None else decline.decline_code,
        "risk_level": "normal",
        "seller_message": "Payment complete." if paid else "The bank did not accept the payment.",
        "type": "authorized" if paid else "issuer_declined",
    }
    card = {name: method["card"][name] for name in ("brand", "exp_month", "exp_year", "last4", "fingerprint")}
    charge = {
        "id": call.new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if paid else 0,
        "amount_refunded": 0,
        "balance_transaction": call.new_id("txn") if paid else None,
        "billing_details": method["billing_details"],
        "captured": paid,
        "created": call.second,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_code": None if decline is None else decline.code,
        "failure_message": None if decline is None else decline.message,
        "livemode": False,
        "metadata": intent["metadata"],
        "outcome": outcome,
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": card, "type": "card"},
        "receipt_email": intent["receipt_email"],
        "receipt_url": None,
        "refunded": False,
        "status": "succeeded" if paid else "failed",
    }
    return call.store.put(charge)


def retrieve(call: Call, params: Params, charge: str) -> Json:
    """GET /v1/charges/{id}."""
    params.done()
    return call.find("charge", charge, "charge")


def listing(call: Call, params: Params) -> Json:
    """GET /v1/charges."""
    listed = page(call, params, "charge", "/v1/charges", ("customer", "payment_intent"))
    params.done()
    return listed


def create_refund(call: Call, params: Params) -> Json:
    """POST /v1/refunds, of a payment intent or a charge; all that is left when no amount is given."""
    charge = _paid_charge(call, params)
    amount = params.integer("amount")
    reason = params.one_of("reason", _REASONS)
    metadata = params.metadata({})
    params.done()
    left = charge["amount_captured"] - charge["amount_refunded"]
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise Refusal(message, code="charge_already_refunded", kept=True)
    amount = left if amount is None else amount
    if amount < 1:
        raise Refusal("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > left:
        currency = charge["currency"]
        message = (
            f"Refund amount ({written(amount, currency)}) is greater than unrefunded amount on charge "
            f"({written(left, currency)})"
        )
        raise Refusal(message, param="amount", kept=True)
    refund: Json = {
        "id": call.new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": call.new_id("txn"),
        "charge": charge["id"],
        "created": call.second,
        "currency": charge["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    call.store.put(refund)
    before = {"amount_refunded": charge["amount_refunded"], "refunded": False}
    charge = {**charge, "amount_refunded": charge["amount_refunded"] + amount, "refunded": amount == left}
    call.store.put(charge)
    call.emit("refund.created", refund)
    call.emit("charge.refunded", charge, before)
    return refund


def _paid_charge(call: Call, params: Params) -> Json:
    charge = call.named("charge", params, "charge")
    intent = call.named("payment_intent", params, "payment_intent")
    if charge is None and intent is None:
        raise missing("payment_intent")
    if charge is None and intent is not None and intent["status"] == "succeeded":
        charge = call.find("charge", intent["latest_charge"])
    if charge is None or not charge["paid"]:
        name = charge["id"] if charge is not None else (intent or {})["id"]
        raise Refusal(f"{name} does not have a successful charge to refund.", kept=True)
    if intent is not None and charge["payment_intent"] != intent["id"]:
        raise Refusal("The charge is not one of the payment intent's", param="charge")
    return charge


def retrieve_refund(call: Call, params: Params, refund: str) -> Json:
    """GET /v1/refunds/{id}."""
    params.done()
    return call.find("refund", refund, "refund")


def list_refunds(call: Call, params: Params) -> Json:
    """GET /v1/refunds."""
    listed = page(call, params, "refund", "/v1/refunds", ("charge", "payment_intent"))
    params.done()
    return listed
