"""Letters into the sandbox mailbox, as `make run` has it: taken, refused for now, refused for good, under TLS 1.3."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.mailbox.letters import Box
from sandbox.mailbox.smtp import MailBehaviour, receiving
from sandbox.serving import Listen
from subscription_services.jobs import run_due
from subscription_services.testing import World
from tests.mail.conftest import Post
from tests.mail.test_delivery import jobs


@pytest.fixture
def engine() -> str:
    """The mailbox does not care about the store."""
    return "sqlite"


def open_box(world: World, box: Box, behaviour: MailBehaviour, tls: tuple[Path, Path] | None, strict: bool) -> None:
    """Write a letter and carry out what is due while the mailbox is open."""

    async def work() -> None:
        listen = Listen("127.0.0.1", 0, *(tls or (None, None)))
        async with receiving(box, behaviour, listen) as (host, port):
            ca = str(tls[0]) if tls else ""
            post = Post.on(world, host=host, port=port, require_tls=strict, ca_file=ca)
            await run_due(post.kernel, post.outbox, "test")

    Post.on(world).write()
    world.run(work())


@pytest.mark.parametrize("strict", [False, True])
def test_a_letter_arrives_under_tls(world: World, tls: tuple[Path, Path], strict: bool) -> None:
    box = Box(keep=10)
    open_box(world, box, MailBehaviour(), tls, strict)
    (letter,) = box.newest_first()
    assert letter.encrypted
    assert letter.subject == "Welcome, Ada"


def test_a_temporary_refusal_keeps_the_letter_and_a_permanent_one_ends_it(world: World) -> None:
    box = Box(keep=10)
    open_box(world, box, MailBehaviour(fail_next=1, code=451), None, strict=False)
    assert jobs(world)[0].state == "waiting to try again"
    world.clock.advance(minutes=1)
    open_box(world, box, MailBehaviour(fail_next=2, code=550), None, strict=False)
    assert {job.state for job in jobs(world)} == {"given up"}
