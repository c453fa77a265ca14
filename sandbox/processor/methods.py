"""Payment methods: cards as far as they may be kept, and whose they are."""

from datetime import UTC, datetime

from sandbox.processor.calls import Call, page
from sandbox.processor.cards import Behaviour, Card, behaviour_of, ready_made, refuse
from sandbox.processor.errors import Json, Refusal, no_such
from sandbox.processor.forms import Params

_SPENT = (
    "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
    "Customer, and may not be used again."
)


def from_card(call: Call, card: Card, name: str | None = None) -> Json:
    """A new payment method for a card; nothing of its number but the last four digits."""
    method = {
        "id": call.new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
            "email": None,
            "name": name,
            "phone": None,
            "tax_id": None,
        },
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "display_brand": "american_express" if card.brand == "amex" else card.brand,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
            "fingerprint": card.fingerprint,
            "funding": "debit" if card.alias.endswith("debit") else "credit",
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": call.second,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }
    return call.store.put(method, {"card": card.alias, "set_up": False, "spent": False})


def usable(call: Call, identifier: str, param: str = "payment_method") -> Json:
    """A payment method by its id, or a fresh one for a `pm_card_...` name; Refusal when it may not be used."""
    year = datetime.fromtimestamp(call.now, UTC).year
    card = ready_made(identifier, year, call.store.fingerprint_key())
    if card is not None:
        return from_card(call, card)
    method = call.find("payment_method", identifier, param, status=400)
    if call.store.hidden(identifier)["spent"]:
        raise Refusal(_SPENT, param=param, code="payment_method_unactivated")
    return method


def behaviour(call: Call, method: Json) -> Behaviour:
    """What the test card behind a payment method does."""
    return behaviour_of(call.store.hidden(method["id"])["card"])


def is_set_up(call: Call, method: Json) -> bool:
    """Whether the cardholder agreed to payments while away."""
    return bool(call.store.hidden(method["id"])["set_up"])


def mark(call: Call, method: Json, **facts: bool) -> None:
    """Note `set_up` or `spent` beside a payment method."""
    call.store.put(method, {**call.store.hidden(method["id"]), **facts})


def attach_to(call: Call, method: Json, customer: str) -> Json:
    """Make a payment method the customer's; Refusal when it is another's or its bank declines."""
    if method["customer"] == customer:
        return method
    if method["customer"] is not None:
        raise Refusal("The payment method you provided has already been attached to a customer.")
    card = behaviour(call, method)
    if card.decline is not None and not card.attaches:
        raise refuse(card.decline, payment_method=method)
    method = call.store.put({**method, "customer": customer})
    call.emit("payment_method.attached", method)
    return method


def retrieve(call: Call, params: Params, method: str) -> Json:
    """GET /v1/payment_methods/{id}."""
    params.done()
    return call.find("payment_method", method, "payment_method")


def attach(call: Call, params: Params, method: str) -> Json:
    """POST /v1/payment_methods/{id}/attach."""
    customer = params.required("customer")
    params.done()
    _living(call, customer)
    return attach_to(call, usable(call, method), customer)


def _living(call: Call, customer: str) -> None:
    call.find("customer", customer, "customer", status=400)
    if call.store.hidden(customer).get("deleted"):
        raise no_such("customer", customer, "customer", status=400)


def detach(call: Call, params: Params, method: str) -> Json:
    """POST /v1/payment_methods/{id}/detach; it cannot be used again."""
    params.done()
    found = call.find("payment_method", method, "payment_method")
    owner = found["customer"]
    if owner is None:
        message = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise Refusal(message)
    found = {**found, "customer": None}
    mark(call, found, spent=True)
    customer = call.find("customer", owner)
    if customer["invoice_settings"]["default_payment_method"] == method:
        kept = {**customer["invoice_settings"], "default_payment_method": None}
        call.store.put({**customer, "invoice_settings": kept})
    call.emit("payment_method.detached", found, {"customer": owner})
    return found


def listing(call: Call, params: Params) -> Json:
    """GET /v1/payment_methods, of one customer."""
    params.one_of("type", ("card",))
    customer = params.required("customer")
    call.find("customer", customer, "customer", status=400)
    listed = page(call, params, "payment_method", "/v1/payment_methods", customer=customer)
    params.done()
    return listed


def of_customer(call: Call, params: Params, customer: str) -> Json:
    """GET /v1/customers/{id}/payment_methods."""
    params.one_of("type", ("card",))
    call.find("customer", customer, "customer")
    url = f"/v1/customers/{customer}/payment_methods"
    listed = page(call, params, "payment_method", url, customer=customer)
    params.done()
    return listed


def one_of_customer(call: Call, params: Params, customer: str, method: str) -> Json:
    """GET /v1/customers/{id}/payment_methods/{id}."""
    params.done()
    found = call.find("payment_method", method, "payment_method")
    if found["customer"] != customer:
        raise no_such("payment_method", method, "payment_method")
    return found
