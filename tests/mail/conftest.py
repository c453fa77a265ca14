"""A house with the mail room, letters of our own, and a real mail server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from sqlalchemy import Connection

from subscription_services import mail
from subscription_services.jobs import DatabaseOutbox, JobKinds, run_due
from subscription_services.kernel.actors import Actor, Role, Standing, TeamMember
from subscription_services.kernel.clock import system_random
from subscription_services.kernel.context import Context
from subscription_services.kernel.operations import Change, Registry, SystemOnly, operation
from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.transaction import Transaction
from subscription_services.mail import Letter, LetterKind, MailSettings, SendLetter, SiteFacts
from subscription_services.testing import World
from tests.mail.certificate import make_certificate

SITE = SiteFacts("https://localhost:8443", "Subscription Services", "security@example.org")


@dataclass
class Server:
    """aiosmtpd on a port of its own. `answers` are given to the next messages instead of taking them."""

    answers: list[str] = field(default_factory=list)
    refuse: str = ""
    received: list[tuple[Envelope, bool]] = field(default_factory=list)
    port: int = 0
    login: tuple[bytes, bytes] | None = None

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.received.append((envelope, session.ssl is not None))
        return "250 2.0.0 Ok"

    @property
    def messages(self) -> list[EmailMessage]:
        parser = BytesParser(policy=default)
        contents = [envelope.content for envelope, _ in self.received]
        return [parser.parsebytes(content) for content in contents if isinstance(content, bytes)]


@operation("mail.test_write", by=[SystemOnly("the tests")])
def write_letter(tx: Transaction, ctx: Context, request: SendLetter) -> Change[SendLetter]:
    """Queue a letter as a room would."""
    tx.outbox.add(request)
    return Change(None, request)


async def _hello(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
    name = values.get("name", "Ada")
    if name == "nobody":
        return None
    if name == "broken":
        raise RuntimeError("ada@example.org stands in this text")
    to = values.get("to", "ada@example.org")
    return Letter(to, f"Welcome, {name}", f"Hello {name},\n\nopen this link:\n\n{site.public_url}/verify/abc\n")


class Claims:
    """Everybody is what they say: who may do what is tested with the access room."""

    def standing(self, connection: Connection, actor: Actor, now: datetime) -> Standing:
        if isinstance(actor, TeamMember):
            return Standing(roles=actor.roles, signed_in_at=actor.signed_in_at, second_factor=actor.second_factor)
        return Standing()


@dataclass
class Post:
    """The mail room on a world: write letters, run what is due, and perform the room's operations."""

    world: World
    kernel: Kernel
    outbox: DatabaseOutbox

    @classmethod
    def on(cls, world: World, **settings: Any) -> Post:
        kinds = mail.kinds(MailSettings(**settings), [LetterKind("test.hello", _hello)], SITE)
        outbox = DatabaseOutbox(JobKinds(kinds), system_random)
        registry = Registry((*mail.OPERATIONS, write_letter))
        kernel = replace(world.house.kernel, registry=registry, outbox=outbox, authority=Claims())
        return cls(world, kernel, outbox)

    def write(self, letter: str = "test.hello", **values: str) -> None:
        self.do("mail.test_write", self.world.system(), SendLetter(letter, "acc_ada", values))

    def do(self, name: str, actor: Any, request: msgspec.Struct) -> Any:
        from subscription_services.kernel.perform import perform

        found = self.kernel.registry.get(name)
        assert found is not None
        return self.world.run(perform(self.kernel, found, actor, request))

    def team(self, *roles: Role) -> TeamMember:
        return TeamMember("acc_team", "ses_team", self.world.clock(), frozenset(roles), second_factor=True)

    def run(self) -> int:
        return cast("int", self.world.run(run_due(self.kernel, self.outbox, "test")))


@pytest.fixture
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and localhost, and its key."""
    return make_certificate(tmp_path_factory.mktemp("mail-tls"))


@pytest.fixture
def server(world: World) -> Iterator[Callable[..., Server]]:
    """Starts mail servers in the world's own loop."""
    started: list[asyncio.Server] = []

    def start(tls: tuple[Path, Path] | None = None, login: tuple[bytes, bytes] | None = None) -> Server:
        handler = Server(login=login)
        context = None
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)

        def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
            assert isinstance(given, LoginPassword)
            return AuthResult(success=(given.login, given.password) == login)

        def session() -> SMTP:
            return SMTP(
                handler, tls_context=context, hostname="mail.test",
                authenticator=authenticate if login else None, auth_require_tls=False,
            )  # fmt: skip

        async def listen() -> asyncio.Server:
            return await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)

        opened = world.run(listen())
        started.append(opened)
        handler.port = opened.sockets[0].getsockname()[1]
        return handler

    yield start
    for opened in started:
        opened.close()


def stored(world: World, work: Callable[[Connection], Any]) -> Any:
    with world.house.store.reading() as connection:
        return work(connection)
