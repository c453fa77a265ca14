"""Looks at invoices, and what stands on them."""

from __future__ import annotations

from subscription_services.billing.buyer import contact_of
from subscription_services.billing.model import InvoiceDocument
from subscription_services.billing.paying import ensure_customer
from subscription_services.billing.queries import (
    details_of,
    document_of,
    find_invoice,
    find_payment,
    invoices_of,
    methods_of,
    terms_of,
)
from subscription_services.billing.requests import (
    Details,
    Invoices,
    LetterFacts,
    Nothing,
    OfPerson,
    OneInvoice,
    OnePayment,
    PersonBilling,
    SetDetails,
)
from subscription_services.billing.tables import customer
from subscription_services.kernel.actors import Role, Subscriber
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation, own_account
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.storage import update_row


def owner_of_invoice(tx: ReadTransaction, ctx: Context, request: OneInvoice) -> str:
    """Whose invoice it is. Raises NotFound."""
    return find_invoice(tx, request.id).account


def named_person(tx: ReadTransaction, ctx: Context, request: OfPerson) -> str:
    """The account that the request names."""
    return request.account


@operation("billing.invoices", by=[Subscriber.own])
def list_invoices(tx: ReadTransaction, ctx: Context, request: Nothing) -> Seen[Invoices]:
    """One's own invoices, newest first."""
    return Seen(Invoices(invoices_of(tx, ctx.actor.id)))


@operation("billing.invoice", by=[Subscriber.own, Role.BILLING], subject=owner_of_invoice)
def show_invoice(tx: ReadTransaction, ctx: Context, request: OneInvoice) -> Seen[InvoiceDocument]:
    """One invoice with its lines, tax, credit notes and both parties."""
    return Seen(document_of(tx, request.id), object=request.id)


@operation("billing.invoice_pdf", by=[Subscriber.own, Role.BILLING], subject=owner_of_invoice)
def invoice_pdf(tx: ReadTransaction, ctx: Context, request: OneInvoice) -> Seen[InvoiceDocument]:
    """What the page /invoices/{id}.pdf draws: the invoice as a paper."""
    return Seen(document_of(tx, request.id), object=request.id)


@operation("billing.letter_facts", by=[SystemOnly("letters about payments are written when they are sent")])
def letter_facts(tx: ReadTransaction, ctx: Context, request: OnePayment) -> Seen[LetterFacts]:
    """What a letter about a payment says, and where it goes."""
    paying = find_payment(tx, request.id)
    contact = contact_of(tx, paying.account)
    if contact is None:
        raise NotFound()
    more = paying.attempt <= len(terms_of(tx.connection).retry_days)
    facts = LetterFacts(contact[0], document_of(tx, paying.invoice), paying, more)
    return Seen(facts, object=request.id, subject=paying.account)


@operation("billing.of_person", by=[Role.BILLING, Role.SUPPORT], subject=named_person)
def of_person(tx: ReadTransaction, ctx: Context, request: OfPerson) -> Seen[PersonBilling]:
    """A person's invoices, cards and billing details, for those who help them."""
    account = request.account
    return Seen(PersonBilling(invoices_of(tx, account), methods_of(tx, account), details_of(tx, account)))


@operation("billing.details", by=[Subscriber.own])
def show_details(tx: ReadTransaction, ctx: Context, request: Nothing) -> Seen[Details]:
    """Name and address that stand on one's own invoices."""
    name, _, address = details_of(tx, ctx.actor.id).partition("\n")
    return Seen(Details(name, address))


@operation("billing.set_details", by=[Subscriber.own], subject=own_account)
def set_details(tx: Transaction, ctx: Context, request: SetDetails) -> Change[Details]:
    """Change name and address for future invoices; those written stay as they are."""
    account = ctx.actor.id
    tx.keys.ensure_subject(account)
    ensure_customer(tx, ctx, account)
    address = "\n".join(part.strip() for part in request.address.splitlines() if part.strip())
    after = Details(" ".join(request.name.split()), address)
    text = f"{after.name}\n{after.address}" if after.name or after.address else ""
    update_row(tx, customer, {"account": account}, {"details": text})
    return Change(None, after, object=account)
