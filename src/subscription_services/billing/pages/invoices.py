"""Invoices as pages and as PDF."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from subscription_services.billing.model import InvoiceDocument
from subscription_services.billing.operations import invoices as operations
from subscription_services.billing.requests import Nothing, OneInvoice
from subscription_services.billing.words import REASONS, invoice_state
from subscription_services.kernel.actors import TeamMember
from subscription_services.web.call import Call
from subscription_services.web.routes import Route, get


async def list_invoices(call: Call) -> Response:
    """One's own invoices, newest first."""
    found = await call.perform(operations.list_invoices, Nothing())
    return call.render("billing/invoices.html", invoices=[(item, invoice_state(item)) for item in found.invoices])


async def show_invoice(call: Call) -> Response:
    """One invoice with lines, tax and both parties."""
    found = await call.perform(operations.show_invoice, OneInvoice(call.path("id")))
    return call.render(
        "billing/invoice.html", document=found, invoice=found.invoice, state=invoice_state(found.invoice),
        reasons=REASONS, team=isinstance(call.actor, TeamMember),
    )  # fmt: skip


async def pdf_of_invoice(call: Call) -> Response:
    """The same as paper, drawn in a pool so that others need not wait."""
    found = await call.perform(operations.invoice_pdf, OneInvoice(call.path("id")))
    pool = call.site.kernel.pools["prepare"]
    body = await asyncio.get_running_loop().run_in_executor(pool, _drawn, found)
    name = f"{found.invoice.number or found.invoice.id}.pdf"
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "private, no-store"}
    return Response(body, headers=headers, media_type="application/pdf")


def _drawn(found: InvoiceDocument) -> bytes:
    # a quarter of the time to start is this library's, and few processes ever draw
    from subscription_services.billing.pdf import invoice_pdf

    return invoice_pdf(found)


def routes() -> tuple[Route, ...]:
    """The pages of invoices."""
    return (
        get("/invoices", list_invoices, operations.list_invoices),
        get("/invoices/{id}.pdf", pdf_of_invoice, operations.invoice_pdf),
        get("/invoices/{id}", show_invoice, operations.show_invoice),
    )
