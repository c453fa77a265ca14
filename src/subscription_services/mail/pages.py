"""The team's view of the mail queue."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.kernel.words import table
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.routes import Route, get, post

from . import operations
from .operations import ListLetters

SHOW = table({"all": "All", "waiting": "Waiting", "failed": "Failed", "sent": "Sent"})
AGAIN = notices.declare("mail-again", "success", "The letter is due again and will be tried within seconds.")
ENDED = notices.declare(
    "mail-not-given-up", "warning", "That letter was not given up: it was sent, or it is still being tried."
)


async def show_queue(call: Call) -> Response:
    """Waiting, failed and sent letters, newest first."""
    show = call.query("show", "all")
    request = ListLetters(show=show if show in SHOW else "all")  # type: ignore[arg-type]  # checked against the literal's names
    found = await call.perform(operations.queue, request)
    return call.render("mail/queue.html", queue=found, show=request.show, choices=SHOW, now=call.now)


async def retry_letter(call: Call) -> Response:
    """Make one letter due again."""
    done = await call.submit(operations.retry, given={"id": call.path("id")})
    return call.go("/team/mail?show=failed" if done.form else "/team/mail", ENDED if done.form else AGAIN)


def routes() -> tuple[Route, ...]:
    """The room's pages."""
    return (
        get("/team/mail", show_queue, operations.queue),
        post("/team/mail/{id}/retry", retry_letter, operations.retry),
    )
