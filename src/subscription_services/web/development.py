"""The page that shows every component with its states; there only in development."""

from __future__ import annotations

from datetime import datetime

from starlette.responses import Response

from subscription_services.web.forms import FormState
from subscription_services.web.page import Choice, Entry, PageContext
from subscription_services.web.render import qr, render


def components_page(view: PageContext, now: datetime) -> Response:
    """Every component of `ui`, filled with examples."""
    form = FormState(
        values={"email": "ada@example", "country": "DE", "plan": "standard"},
        errors={
            "email": "Enter an e-mail address, such as name@example.org.",
            "password": "Enter a password.",
        },
    )
    plans = (
        Choice("light", "Light", "For one person.", "€9.00", "a month", "", ("One seat", "Mail support")),
        Choice(
            "standard", "Standard", "For small teams.", "€19.99", "a month", "Popular",
            ("Ten seats", "Answers within a day"),
        ),
        Choice("large", "Large", "For everybody.", "€99.00", "a month", "", ("Every seat", "A person to call")),
    )  # fmt: skip
    history = (
        Entry(now, "Signed in", "Firefox on Linux, 192.0.2.7", "success", "check"),
        Entry(now, "Wrong code", "The second factor did not match", "danger", "cross"),
        Entry(now, "Support looked at this account", "Case 4711: “invoice missing”", "accent", "person"),
        Entry(now, "Account created"),
    )
    invoices = (("2026-00042", "open", 1999), ("2026-00041", "paid", 1999), ("2026-00040", "failed", -500))
    return render(
        "development.html",
        view,
        form=form,
        plans=plans,
        history=history,
        invoices=invoices,
        now=now,
        qr=qr("otpauth://totp/Example:ada?secret=JBSWY3DPEHPK3PXP"),
    )
