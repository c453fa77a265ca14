"""The page that says that something needs approval, and offers to ask for it with what was entered."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from subscription_services.kernel.errors import ApprovalNeeded
from subscription_services.kernel.words import words
from subscription_services.web.forms import FormState
from subscription_services.web.page import PageContext
from subscription_services.web.problem_kinds import KINDS
from subscription_services.web.problems import wants_json
from subscription_services.web.render import render


def offered(request: Request, error: Exception, view: PageContext, places: Mapping[str, str]) -> Response | None:
    """The page, where a person's change needs an approval that nobody has asked for yet."""
    place = places.get("approval-needed")
    if not isinstance(error, ApprovalNeeded) or error.code != ApprovalNeeded.code or not error.operation:
        return None
    if place is None or wants_json(request):
        return None
    status = KINDS["approval-needed"].status
    typed = msgspec.json.decode(error.arguments).get("reason", "")
    form = FormState({"reason": typed} if isinstance(typed, str) else {})
    return ask_for_approval(view, place, error.operation, error.arguments, form, status)


def ask_for_approval(
    view: PageContext, place: str, operation: str, arguments: str, form: FormState, status: int
) -> Response:
    """What was tried, with a form that posts to `place` to ask for its approval."""
    lines = [(words("Operation"), operation), *_in_lines(arguments)]
    return render(
        "approval_needed.html", view, status, place=place, operation=operation, arguments=arguments, form=form,
        lines=lines,
    )  # fmt: skip


def _in_lines(arguments: str) -> list[tuple[str, str]]:
    """A request in JSON as terms and values."""
    values = msgspec.json.decode(arguments)
    return [
        (name.replace("_", " ").capitalize(), value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for name, value in values.items()
        if value not in (None, "")
    ]
