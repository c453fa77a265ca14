"""What the team sees of letters, and what it can do about them."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import msgspec
import pytest
from msgspec.structs import replace
from starlette.requests import Request

from subscription_services import mail
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.errors import Refusal
from subscription_services.mail.errors import NotGivenUp
from subscription_services.mail.operations import ListLetters, RetryLetter
from subscription_services.mail.queries import MailQueue
from subscription_services.testing import World
from subscription_services.web.call import Navigation, Site, Visitor
from subscription_services.web.page import Person
from subscription_services.web.routes import RouteTable
from tests.mail.conftest import Post, Server

Start = Callable[..., Server]


def filled(world: World, server: Start) -> tuple[Post, Server]:
    """One letter sent, one given up, one waiting."""
    box = server()
    post = Post.on(world, port=box.port)
    post.write(name="Sent")
    post.run()
    world.clock.advance(seconds=1)
    box.answers.append("550 5.7.1 No")
    post.write(name="Failed")
    post.run()
    world.clock.advance(seconds=1)
    post.write(name="Waiting")
    return post, box


def seen(post: Post, show: str = "all") -> MailQueue:
    found: MailQueue = post.do("mail.queue", post.team(Role.SUPPORT), msgspec.convert({"show": show}, ListLetters))
    return found


def test_the_queue_names_kind_account_and_state_and_nothing_personal(world: World, server: Start) -> None:
    post, _ = filled(world, server)
    queue = seen(post)
    assert [(row.state, row.attempts, row.code) for row in queue.letters] == [
        ("waiting", 0, 0), ("failed", 1, 550), ("sent", 1, 250)
    ]  # fmt: skip
    assert (queue.waiting, queue.failed, queue.sent) == (1, 1, 1)
    text = msgspec.json.encode(queue)
    assert b"acc_ada" in text
    assert b"example.org" not in text
    assert b"Waiting" not in text


@pytest.mark.parametrize("show, states", [("waiting", ["waiting"]), ("failed", ["failed"]), ("sent", ["sent"])])
def test_the_queue_can_be_narrowed(world: World, server: Start, show: str, states: list[str]) -> None:
    post, _ = filled(world, server)
    assert [row.state for row in seen(post, show).letters] == states


def test_a_given_up_letter_can_be_made_due_again(world: World, server: Start) -> None:
    post, box = filled(world, server)
    (failed,) = seen(post, "failed").letters
    post.do("mail.retry", post.team(Role.OPERATIONS), RetryLetter(failed.id))
    post.run()
    assert len(box.messages) == 3
    assert seen(post).sent == 3
    (event,) = world.events("mail.retry")
    assert (event.object, event.subject) == (failed.id, "acc_ada")


@pytest.mark.parametrize("which", ["sent", "waiting", "unknown"])
def test_only_a_given_up_letter_can_be_retried(world: World, server: Start, which: str) -> None:
    post, _ = filled(world, server)
    rows = {row.state: row.id for row in seen(post).letters}
    with pytest.raises(NotGivenUp):
        post.do("mail.retry", post.team(Role.OPERATIONS), RetryLetter(rows.get(which, "job_0")))


@pytest.mark.parametrize("name, roles", [("mail.retry", (Role.SUPPORT,)), ("mail.queue", (Role.BILLING, Role.AUDITOR))])
def test_other_roles_are_refused(world: World, name: str, roles: tuple[Role, ...]) -> None:
    post = Post.on(world)
    with pytest.raises(Refusal):
        post.do(name, post.team(*roles), RetryLetter("job_0") if name == "mail.retry" else ListLetters())
    assert world.events(name)[-1].outcome == "refused"


@pytest.mark.parametrize("name", ["mail.record_sent", "mail.record_failed", "mail.record_not_needed"])
def test_nobody_but_the_service_records(world: World, name: str) -> None:
    post = Post.on(world)
    request = mail.operations.RecordLetter("job_1", "test.hello", "acc_ada", 1)
    with pytest.raises(Refusal):
        post.do(name, post.team(*Role), request)
    assert world.events(name)[-1].outcome == "refused"


def browse(post: Post, actor: TeamMember, method: str, path: str, data: dict[str, str] | None = None) -> httpx.Response:
    async def visitor(request: Request) -> Visitor:
        return Visitor(actor, Person("Tia", "Operations"))

    site = Site(post.kernel, visitor, lambda visitor: Navigation())
    app = RouteTable(mail.routes()).application(site)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost") as client:
            return await client.request(method, path, data=data)

    answer: httpx.Response = post.world.run(ask())
    return answer


def test_the_page_shows_the_queue_and_tries_again(world: World, server: Start) -> None:
    post, _ = filled(world, server)
    actor = replace(post.team(Role.OPERATIONS))
    page = browse(post, actor, "GET", "/team/mail")
    assert page.status_code == 200
    assert "Given up" in page.text
    assert "Mail server said 550" in page.text
    assert "example.org" not in page.text
    (failed,) = seen(post, "failed").letters
    done = browse(post, actor, "POST", f"/team/mail/{failed.id}/retry", {"idempotency_key": "k-1"})
    assert (done.status_code, done.headers["location"]) == (303, "/team/mail")
    again = browse(post, actor, "POST", f"/team/mail/{failed.id}/retry", {"idempotency_key": "k-2"})
    assert again.headers["location"] == "/team/mail?show=failed"
    assert browse(post, actor, "GET", "/team/mail?show=nonsense").status_code == 200


def test_an_empty_queue_says_so(world: World) -> None:
    post = Post.on(world)
    assert "No letters here" in browse(post, post.team(Role.SUPPORT), "GET", "/team/mail?show=failed").text
