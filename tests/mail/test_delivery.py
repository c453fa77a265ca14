"""Letters against a real mail server: taken, delayed, refused, encrypted, and never twice without a sign of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from subscription_services.jobs import unfinished_jobs
from subscription_services.mail import SendLetter
from subscription_services.mail.model import message
from subscription_services.testing import World
from tests.mail.conftest import Post, Server, stored

Start = Callable[..., Server]


def records(world: World) -> list[tuple[str, int, int]]:
    rows: list[Any] = stored(world, lambda connection: connection.execute(select(message)).all())
    return [(row.state, row.attempts, row.code) for row in rows]


def jobs(world: World) -> list[Any]:
    found: list[Any] = stored(world, lambda connection: unfinished_jobs(connection, "mail.send", SendLetter))
    return [job for job, _ in found]


def test_a_letter_arrives_as_plain_text_marked_automatic(world: World, server: Start) -> None:
    box = server()
    post = Post.on(world, port=box.port, sender="no-reply@example.org")
    post.write(name="Zoë Müller")
    post.run()
    (letter,) = box.messages
    assert letter["Subject"] == "Welcome, Zoë Müller"
    assert letter["To"] == "ada@example.org"
    assert letter["From"] == "Subscription Services <no-reply@example.org>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Date"].datetime == world.clock()
    assert letter.get_content_type() == "text/plain"
    assert letter.get_content_charset() == "utf-8"
    assert "Hello Zoë Müller," in letter.get_content()
    assert "https://localhost:8443/verify/abc" in letter.get_content().splitlines()
    assert records(world) == [("sent", 1, 250)]
    (event,) = world.events("mail.record_sent")
    assert event.subject == "acc_ada"
    assert jobs(world) == []


def test_a_server_that_is_down_delays_the_letter_with_growing_pauses(world: World, server: Start) -> None:
    box = server()
    post = Post.on(world, port=9, timeout=2)
    post.write()
    pauses = []
    for _ in range(3):
        assert post.run() == 1
        (job,) = jobs(world)
        pauses.append((job.run_at - world.clock()).total_seconds())
        assert (job.state, job.error) == ("waiting to try again", "letter-delayed")
        assert post.run() == 0
        world.clock.advance(seconds=pauses[-1])
    assert pauses == [5, 10, 20]
    assert records(world) == []
    again = Post.on(world, port=box.port)
    assert again.run() == 1
    assert len(box.messages) == 1
    assert records(world) == [("sent", 4, 250)]


@pytest.mark.parametrize("answer", ["451 4.3.0 Later", "421 4.3.2 Closing", "452 4.2.2 Full"])
def test_a_temporary_refusal_is_tried_again(world: World, server: Start, answer: str) -> None:
    box = server()
    box.answers.append(answer)
    post = Post.on(world, port=box.port)
    post.write()
    post.run()
    assert box.messages == []
    assert jobs(world)[0].state == "waiting to try again"
    world.clock.advance(minutes=1)
    post.run()
    assert len(box.messages) == 1


@pytest.mark.parametrize("where", ["message", "recipient"])
def test_a_permanent_refusal_is_given_up_at_once_and_shown(world: World, server: Start, where: str) -> None:
    box = server()
    if where == "message":
        box.answers.append("550 5.7.1 No")
    else:
        box.refuse = "550 5.1.1 Unknown"
    post = Post.on(world, port=box.port)
    post.write()
    post.run()
    (job,) = jobs(world)
    assert (job.state, job.attempts, job.error) == ("given up", 1, "letter-refused")
    assert records(world) == [("failed", 1, 550)]
    world.clock.advance(days=2)
    assert post.run() == 0


def test_after_the_last_try_the_letter_is_given_up(world: World, server: Start) -> None:
    box = server()
    box.answers = ["451 4.3.0 Later"] * 20
    post = Post.on(world, port=box.port)
    post.write()
    for _ in range(20):
        post.run()
        world.clock.advance(hours=5)
    assert records(world) == [("failed", 14, 451)]
    assert jobs(world)[0].state == "given up"


def test_a_letter_sent_twice_after_a_crash_has_one_message_id(world: World, server: Start) -> None:
    box = server()
    post = Post.on(world, port=box.port)
    post.write()
    healthy = post.kernel.log.append

    class Crash:
        def append(self, connection: Any, events: Any) -> None:
            raise RuntimeError("stopped between handing over and recording")

    broken = Post(post.world, msgspec_replace(post, Crash()), post.outbox)
    broken.run()
    world.clock.advance(minutes=5)
    post.run()
    assert healthy is not None
    first, second = box.messages
    assert first["Message-ID"] == second["Message-ID"]
    post.write()
    post.run()
    assert box.messages[2]["Message-ID"] != first["Message-ID"]


def msgspec_replace(post: Post, log: Any) -> Any:
    from dataclasses import replace

    return replace(post.kernel, log=log)


def test_starttls_is_used_when_offered_and_the_letter_goes_anyway_when_not(
    world: World, server: Start, tls: tuple[Path, Path]
) -> None:
    for offered in (tls, None):
        box = server(tls=offered)
        post = Post.on(world, port=box.port)
        post.write()
        post.run()
        (delivery,) = box.received
        assert delivery[1] is (offered is not None)


def test_required_tls_sends_nothing_in_the_clear(world: World, server: Start) -> None:
    box = server()
    post = Post.on(world, port=box.port, require_tls=True)
    post.write()
    post.run()
    assert box.received == []
    assert jobs(world)[0].error == "letter-delayed"


def test_required_tls_refuses_a_certificate_that_nobody_vouches_for(
    world: World, server: Start, tls: tuple[Path, Path]
) -> None:
    box = server(tls=tls)
    strict = Post.on(world, port=box.port, require_tls=True)
    strict.write()
    strict.run()
    assert box.received == []
    world.clock.advance(minutes=1)
    trusting = Post.on(world, port=box.port, require_tls=True, ca_file=str(tls[0]))
    trusting.run()
    assert [encrypted for _, encrypted in box.received] == [True]


def test_a_password_never_travels_in_the_clear(world: World, server: Start, tls: tuple[Path, Path]) -> None:
    login = (b"house", b"a password")
    plain = server(login=login)
    named = {"username": "house", "password": "a password"}
    post = Post.on(world, port=plain.port, **named)
    post.write()
    post.run()
    assert plain.received == []
    world.clock.advance(minutes=1)
    safe = server(tls=tls, login=login)
    Post.on(world, port=safe.port, ca_file=str(tls[0]), **named).run()
    assert len(safe.received) == 1


def test_a_wrong_password_of_ours_loses_no_letter(world: World, server: Start, tls: tuple[Path, Path]) -> None:
    box = server(tls=tls, login=(b"house", b"right"))
    post = Post.on(world, port=box.port, ca_file=str(tls[0]), timeout=2, username="house", password="wrong")
    post.write()
    post.run()
    assert jobs(world)[0].state == "waiting to try again"


def test_what_nobody_needs_any_more_is_not_sent(world: World, server: Start) -> None:
    box = server()
    post = Post.on(world, port=box.port)
    post.write(name="nobody")
    post.run()
    assert box.received == []
    assert records(world) == [("not_needed", 1, 0)]


def test_a_letter_that_no_room_declares_is_given_up(world: World, server: Start) -> None:
    post = Post.on(world, port=server().port)
    post.write("test.unknown")
    post.run()
    assert jobs(world)[0].error == "letter-unknown"


def test_a_room_that_fails_to_compose_is_asked_again_and_its_words_stay_out(world: World, server: Start) -> None:
    post = Post.on(world, port=server().port)
    post.write(name="broken")
    post.run()
    (job,) = jobs(world)
    assert (job.state, job.error) == ("waiting to try again", "RuntimeError")


@pytest.mark.parametrize(
    "name",
    ["Ada\r\nBcc: eve@example.org", "Ada\nX-Evil: 1\n\nbody", "Ada\u2028Bcc: eve@example.org",
     "=?utf-8?q?=0ABcc:_e=40e.org?=", "Ada\x00\x1b[31m"],
)  # fmt: skip
def test_a_name_cannot_add_headers_or_recipients(world: World, server: Start, name: str) -> None:
    box = server()
    post = Post.on(world, port=box.port)
    post.write(name=name)
    post.run()
    ((envelope, _),) = box.received
    assert envelope.rcpt_tos == ["ada@example.org"]
    (letter,) = box.messages
    assert set(letter.keys()) <= {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding",
        "MIME-Version", "X-Peer", "X-MailFrom", "X-RcptTo",
    }  # fmt: skip
    assert letter["Bcc"] is None


@pytest.mark.parametrize(
    "to",
    ["ada@example.org\r\nBcc: eve@example.org", "ada@example.org, eve@example.org",
     "ada@example.org eve@example.org", "<ada@example.org>", "ada", "@example.org", "ada@", "", 
     "ada@example.org>\r\nRCPT TO:<eve@example.org", "a" * 65 + "@b.org"],
)  # fmt: skip
def test_an_address_is_one_address_or_none(world: World, server: Start, to: str) -> None:
    box = server()
    post = Post.on(world, port=box.port)
    post.write(to=to)
    post.run()
    assert box.received == []
    assert jobs(world)[0].error == "letter-unfit"


def test_a_payload_with_unknown_fields_is_no_letter() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"letter":"a","account":"b","to":"eve@example.org"}', type=SendLetter)


def test_a_server_that_wants_what_we_lack_loses_no_letter(world: World, server: Start) -> None:
    box = server()
    box.refuse = "530 5.7.0 Sign in first"
    post = Post.on(world, port=box.port)
    post.write()
    post.run()
    assert jobs(world)[0].state == "waiting to try again"
