"""Pages of access reviews: which there are, one of them item by item, and its evidence."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.access.operations.reviews import (
    DecidedItem,
    ListReviews,
    OneReview,
    decide_review_item,
    one,
    review_record,
    reviews,
)
from subscription_services.access.review_bundle import archive
from subscription_services.access.review_facts import Kind
from subscription_services.access.review_model import Decision, Outcome
from subscription_services.access.review_policy import SCOPE_WORDS
from subscription_services.access.review_queries import Review, ReviewItem, ReviewPage, Reviews
from subscription_services.kernel.words import words
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Handler, Route, get, post

from .console import enter

PAGE = "/team/reviews"
KEPT = notices.declare("access-review-kept", "success", "Kept. It stands until the next review.")
REVOKED = notices.declare("access-review-revoked", "success", "Revoked. It has ended, in every open session.")
FINISHED = notices.declare("access-review-finished", "success", "Everything is decided. The review is closed.")
VOID = notices.declare(
    "access-review-void", "warning",
    "That one does not exist: it was there to see whether each is read. The review is void, what was kept in it is "
    "not, and this one takes its place.",
)  # fmt: skip
OUTCOMES = {
    None: (words("Open"), "accent", "clock"), Outcome.CLOSED: (words("Everything decided"), "success", "check"),
    Outcome.LAPSED: (words("Some lapsed"), "warning", "warning"), Outcome.VOIDED: (words("Void"), "danger", "cross"),
}  # fmt: skip
DECISIONS = {
    Decision.KEEP: (words("Kept"), "success", "check"), Decision.REVOKE: (words("Revoked"), "neutral", "cross"),
}  # fmt: skip


async def show_reviews(call: Call) -> Response:
    """What waits for decisions, and what was reviewed before."""
    enter(call)
    found: Reviews = await call.perform(reviews, ListReviews())
    return call.render(
        "access/reviews.html", reviews=found.reviews, outcomes=OUTCOMES, scopes=SCOPE_WORDS, now=call.now
    )  # fmt: skip


async def show_review(call: Call) -> Response:
    """One item after the other, those decided below."""
    return await _review(call)


def _deciding(decision: Decision) -> Handler:
    async def decide(call: Call) -> Response:
        """One decision about one item, then the next."""
        enter(call)
        done = await call.submit(decide_review_item, given={"id": call.path("item"), "decision": decision})
        if done.form is not None:
            return await _review(call, done.form, done.status)
        answer: DecidedItem = done.answer
        if answer.outcome is Outcome.VOIDED:
            return call.go(f"{PAGE}/{answer.again or answer.review}", VOID)
        notice = KEPT if decision is Decision.KEEP else REVOKED
        return call.go(f"{PAGE}/{answer.review}", FINISHED if answer.outcome is Outcome.CLOSED else notice)

    decide.__qualname__ = f"decide {decision.value}"
    return decide


async def download_record(call: Call) -> Response:
    """The evidence as one archive, for whoever verifies it offline."""
    evidence = await call.perform(review_record, OneReview(call.path("id")))
    content = await archive(call.site.kernel, evidence, call.now)
    headers = {"Content-Disposition": f'attachment; filename="{evidence.id}.tar.gz"'}
    return Response(content, media_type="application/gzip", headers=headers)


def review_routes() -> tuple[Route, ...]:
    return (
        get(PAGE, show_reviews, reviews),
        get(f"{PAGE}/{{id}}", show_review, one),
        get(f"{PAGE}/{{id}}/record", download_record, review_record),
        post(f"{PAGE}/{{id}}/items/{{item}}/keep", _deciding(Decision.KEEP), decide_review_item),
        post(f"{PAGE}/{{id}}/items/{{item}}/revoke", _deciding(Decision.REVOKE), decide_review_item),
    )


async def _review(call: Call, form: FormState | None = None, status: int = 200) -> Response:
    may = enter(call)
    found: ReviewPage = await call.perform(one, OneReview(call.path("id")))
    review, items = found.review, found.items
    is_open = review.closed_at is None and review.due_at > call.now
    left = [item for item in items if item.decision is None and not item.over] if is_open else []
    mine = [item for item in left if not item.why_not] if decide_review_item.name in may else []
    shown = _chosen(call, mine)
    later = _after(mine, shown)
    return call.render(
        "access/review.html", status, review=review, form=form or FormState(), is_open=is_open, item=shown,
        later=later, others=[item for item in left if item is not shown], mine={item.id for item in mine},
        done=_done(review, items, is_open), outcome=OUTCOMES[review.outcome], outcomes=OUTCOMES, decisions=DECISIONS,
        scope=SCOPE_WORDS[review.scope], now=call.now, PERSON=Kind.PERSON,
    )  # fmt: skip


def _chosen(call: Call, mine: list[ReviewItem]) -> ReviewItem | None:
    """The item that the address names, else the first."""
    wanted = call.query("item") or call.request.path_params.get("item", "")
    return next((item for item in mine if item.id == wanted), mine[0] if mine else None)


def _after(mine: list[ReviewItem], shown: ReviewItem | None) -> ReviewItem | None:
    """The one that comes next where this one is left for later."""
    if shown is None or len(mine) < 2:
        return None
    return mine[(mine.index(shown) + 1) % len(mine)]


def _done(review: Review, items: list[ReviewItem], is_open: bool) -> list[ReviewItem]:
    """What needs no decision any more, the newest decision first."""
    over = [item for item in items if item.decision is not None or item.over or not is_open]
    return sorted(over, key=lambda item: item.decided_at or review.opened_at, reverse=True)
