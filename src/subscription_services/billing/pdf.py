"""An invoice as PDF 1.7: real text in its reading order, with title and language, in a font beyond Latin-1."""

from __future__ import annotations

from importlib.resources import files

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from subscription_services.kernel.money import Money
from subscription_services.web.words import date_text, money_text

from .model import InvoiceDocument, InvoiceStatus
from .words import REASONS

WIDTH = 170
_PAGE_BOTTOM = 25
_MARKS = {
    InvoiceStatus.PAID: "Paid", InvoiceStatus.OPEN: "To be paid", InvoiceStatus.VOID: "Void",
    InvoiceStatus.UNCOLLECTIBLE: "Not paid", InvoiceStatus.DRAFT: "Draft",
}  # fmt: skip


def invoice_pdf(document: InvoiceDocument) -> bytes:
    """The paper of an invoice. The same invoice gives the same bytes."""
    invoice = document.invoice
    pdf = _blank(f"Invoice {invoice.number or 'draft'}")
    pdf.set_creation_date(invoice.issued_at or invoice.created_at)
    _line(pdf, document.seller.partition("\n")[0], size=12, bold=True)
    for text in document.seller.splitlines()[1:]:
        _line(pdf, text)
    pdf.ln(10)
    _line(pdf, f"Invoice {invoice.number or '(draft)'}", size=22, bold=True, height=11)
    pdf.ln(2)
    _line(pdf, f"Date: {date_text(invoice.issued_at or invoice.created_at)}")
    _line(pdf, f"Period: {date_text(invoice.period_start)} to {date_text(invoice.period_end)}")
    _line(pdf, f"Status: {_status(document)}")
    pdf.ln(6)
    if document.buyer:
        _line(pdf, "Invoice to", bold=True)
        for text in document.buyer.splitlines():
            _line(pdf, text)
        pdf.ln(6)
    _lines(pdf, document)
    _totals(pdf, document)
    return bytes(pdf.output())


def _status(document: InvoiceDocument) -> str:
    paid_at = document.invoice.paid_at
    mark = _MARKS[document.invoice.status]
    return f"{mark} on {date_text(paid_at)} by card" if paid_at is not None else mark


def _blank(title: str) -> FPDF:
    pdf = FPDF(format="A4")
    pdf.set_margins(20, 20, 20)
    pdf.set_auto_page_break(True, _PAGE_BOTTOM)
    fonts = files("font_roboto") / "files"
    pdf.add_font("Roboto", "", str(fonts / "Roboto-Regular.ttf"))
    pdf.add_font("Roboto", "B", str(fonts / "Roboto-Bold.ttf"))
    pdf.set_title(title)
    pdf.set_lang("en")
    pdf.set_producer("Subscription Services")
    pdf.add_page()
    return pdf


def _line(pdf: FPDF, text: str, *, size: float = 10.5, bold: bool = False, height: float = 5.6) -> None:
    pdf.set_font("Roboto", "B" if bold else "", size)
    pdf.multi_cell(WIDTH, height, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _lines(pdf: FPDF, document: InvoiceDocument) -> None:
    pdf.set_font("Roboto", "", 10.5)
    pdf.set_draw_color(200)
    with pdf.table(
        col_widths=(90, 20, 30, 30), text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT"), width=WIDTH, line_height=7,
        borders_layout="HORIZONTAL_LINES", padding=1,
    ) as table:  # fmt: skip
        head = table.row()
        for title in ("Description", "Quantity", "Unit price", "Amount"):
            head.cell(title)
        for item in document.lines:
            row = table.row()
            for text in (item.text, str(item.quantity), money_text(item.unit), money_text(item.amount)):
                row.cell(text)
    pdf.ln(4)


def _totals(pdf: FPDF, document: InvoiceDocument) -> None:
    invoice = document.invoice
    _sum(pdf, "Net", invoice.net)
    if invoice.tax_rate:
        _sum(pdf, invoice.tax_words, invoice.tax)
    else:
        _sum(pdf, f"Tax: {invoice.tax_words}", None)
    _sum(pdf, "Total", invoice.total, bold=True)
    for credit in document.credits:
        words = f"Credit note {credit.number}, {date_text(credit.created_at)}, {REASONS[credit.reason]}"
        _sum(pdf, words, Money(-credit.amount.amount, credit.amount.currency))
    if document.credits:
        _sum(pdf, "After credit", invoice.total - invoice.refunded, bold=True)


def _sum(pdf: FPDF, words: str, amount: Money | None, *, bold: bool = False) -> None:
    pdf.set_font("Roboto", "B" if bold else "", 11.5 if bold else 10.5)
    pdf.cell(WIDTH - 35, 7, words, align="R")
    pdf.cell(35, 7, "" if amount is None else money_text(amount), align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
