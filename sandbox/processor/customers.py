"""Customers: create, retrieve, update, delete, list."""

from typing import Any

from sandbox.loopback import token
from sandbox.processor.calls import Call, page
from sandbox.processor.errors import Json, no_such
from sandbox.processor.forms import Params
from sandbox.processor.methods import attach_to, usable

_TEXTS = ("description", "email", "name", "phone")


def create(call: Call, params: Params) -> Json:
    """POST /v1/customers."""
    customer: Json = {
        "id": f"cus_{token(14)}",
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": call.second,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": token(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    given = params.text("payment_method")
    _change(call, customer, params, attached=given)
    params.done()
    call.store.put(customer)
    if given is not None:
        attach_to(call, usable(call, given, "payment_method"), customer["id"])
    call.emit("customer.created", customer)
    return customer


def _change(call: Call, customer: Json, params: Params, attached: str | None = None) -> None:
    for name in _TEXTS:
        if params.has(name):
            customer[name] = params.text(name, most=512)
    if params.has("address"):
        customer["address"] = params.texts("address") or None
    if params.has("preferred_locales"):
        customer["preferred_locales"] = params.strings("preferred_locales")
    customer["tax_exempt"] = params.one_of("tax_exempt", ("none", "exempt", "reverse"), customer["tax_exempt"])
    customer["metadata"] = params.metadata(customer["metadata"])
    settings = params.inner("invoice_settings")
    if settings.has("default_payment_method"):
        chosen = settings.text("default_payment_method")
        param = "invoice_settings[default_payment_method]"
        if chosen is not None and chosen != attached:
            method = call.find("payment_method", chosen, param, status=400)
            if method["customer"] != customer["id"]:
                raise no_such("payment_method", chosen, param, status=400)
        customer["invoice_settings"] = {**customer["invoice_settings"], "default_payment_method": chosen}


def retrieve(call: Call, params: Params, customer: str) -> Json:
    """GET /v1/customers/{id}; one that was deleted says so."""
    params.done()
    found = call.find("customer", customer, "customer")
    return _tombstone(customer) if call.store.hidden(customer).get("deleted") else found


def living(call: Call, identifier: str, param: str = "customer", *, status: int = 400) -> Json:
    """A customer that was not deleted; Refusal `resource_missing` otherwise."""
    found = call.find("customer", identifier, param, status=status)
    if call.store.hidden(identifier).get("deleted"):
        raise no_such("customer", identifier, param, status=status)
    return found


def update(call: Call, params: Params, customer: str) -> Json:
    """POST /v1/customers/{id}."""
    found = living(call, customer, status=404)
    before = dict(found)
    _change(call, found, params)
    params.done()
    call.store.put(found)
    changed: dict[str, Any] = {name: value for name, value in before.items() if found[name] != value}
    call.emit("customer.updated", found, changed)
    return found


def delete(call: Call, params: Params, customer: str) -> Json:
    """DELETE /v1/customers/{id}: the personal fields and payment methods go, the id stays known."""
    found = living(call, customer, status=404)
    params.done()
    for method in call.store.newest_first("payment_method", {"customer": customer}, limit=1000):
        call.store.put({**method, "customer": None}, {**call.store.hidden(method["id"]), "spent": True})
    emptied = {**found, **dict.fromkeys((*_TEXTS, "address", "shipping")), "metadata": {}}
    call.store.put(emptied, {"deleted": True})
    call.emit("customer.deleted", emptied)
    return _tombstone(customer)


def _tombstone(identifier: str) -> Json:
    return {"id": identifier, "object": "customer", "deleted": True}


def listing(call: Call, params: Params) -> Json:
    """GET /v1/customers."""
    listed = page(call, params, "customer", "/v1/customers", ("email",))
    params.done()
    listed["data"] = [row for row in listed["data"] if not call.store.hidden(row["id"]).get("deleted")]
    return listed
