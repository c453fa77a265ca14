"""A form that came while its session could not show whose it is: it comes back whole, to be sent again with one press.

The edge has seen by then that a page of ours sent it (origin, and the token of this very session), so nobody else can
have filled it in. It goes to the same path of this host, with the token of the session, and is looked at from the
beginning: the page opens nothing. Secrets never come back; they are typed again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from subscription_services.kernel.errors import DomainError, SessionUnbound
from subscription_services.web.form_words import label_of
from subscription_services.web.forms import CONTROL_FIELDS, FORM_TYPE, FormState, read_form
from subscription_services.web.page import PageContext
from subscription_services.web.problems import HttpProblem, problem_of, wants_json
from subscription_services.web.render import render

LONGEST = 64 * 1024
MOST_SECRETS = 5
_SECRET = re.compile(
    r"pass|secret|code|token|pin\b|otp|cvc|cvv|card|iban|current|proof|key|challenge|device|credential|response", re.I
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
Guard = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is sent again: `fields` as they came, `secrets` to be typed anew, `lost` what may not come back at all."""

    action: str
    key: str
    fields: tuple[tuple[str, str], ...]
    secrets: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]

    @property
    def typed(self) -> tuple[tuple[str, str], ...]:
        """What a person would know again, with a label for each."""
        return tuple(
            (_label(name), text)
            for name, text in self.fields
            if text.strip() and name != "id" and not name.endswith("_id")
        )


def is_secret(name: str) -> bool:
    """Whether a field of this name may never be shown again."""
    return _SECRET.search(name) is not None


async def kept_form(request: Request, error: Exception, guard: Guard | None) -> Kept | None:
    """The posted form if this error is no reason to lose it; None for anything else, and for what is too long."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not isinstance(error, SessionUnbound) or request.method != "POST" or kind != FORM_TYPE or wants_json(request):
        return None
    action = quote(request.scope["path"], safe="/")
    if action.startswith("//"):
        return None
    if request.url.query:
        action += f"?{request.url.query}"
    try:
        posted = await read_form(request)
    except (DomainError, HttpProblem):
        return None
    return sorted_out(action, posted, guard)


def sorted_out(action: str, posted: dict[str, str], guard: Guard | None) -> Kept | None:
    """See `kept_form`."""
    fields, secrets, lost = [], [], []
    for name, text in posted.items():
        if name in CONTROL_FIELDS or not _NAME.fullmatch(name):
            continue
        if is_secret(name):
            # what was empty stays empty: nothing to type
            secrets += [(name, _label(name))] if text else []
        elif guard is not None and _refused(guard, name, text):
            lost.append(_label(name))
        else:
            fields.append((name, text))
    size = len(action) + sum(len(name) + len(text.encode()) for name, text in fields)
    if size > LONGEST or len(secrets) > MOST_SECRETS:
        return None
    key = posted.get("idempotency_key", "")
    return Kept(action, key if _KEY.fullmatch(key) else "", tuple(fields), tuple(secrets), tuple(lost))


def as_resend(kept: Kept, error: Exception, view: PageContext) -> Response:
    """The page: why it was not sent, and the button that sends it. `view.held` is how the session shows whose it is."""
    problem = problem_of(error, view.request_id)
    return render("resend.html", view, problem.status, kept=kept, problem=problem, form=FormState(prefix="again-"))


def _refused(guard: Guard, name: str, text: str) -> bool:
    try:
        guard(name, text)
    except DomainError:
        return True
    return False


def _label(name: str) -> str:
    found = label_of(name, None)
    return found[:1].upper() + found[1:]
