"""A small house for tests of the web floor: real perform(), a real database in memory, three operations."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import StaticPool
from starlette.requests import Request
from starlette.responses import Response

from subscription_services.kernel.actors import Actor, Role, ServiceAccount, Standing, Subscriber, TeamMember
from subscription_services.kernel.clock import system_random
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Invalid, NotFound, StepUpNeeded, TooMany, Unavailable
from subscription_services.kernel.events import Event
from subscription_services.kernel.model import metadata
from subscription_services.kernel.operations import Change, Public, Registry, Seen, SystemOnly, operation
from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.ports import Writer
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.web import notices
from subscription_services.web.call import Call, Navigation, Site, Visitor
from subscription_services.web.forms import FormState
from subscription_services.web.page import NavItem, Person
from subscription_services.web.routes import Route, get, post

T = TypeVar("T")
NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
ADA = Subscriber("acc_ada", "ses_ada", NOW)


class Line(msgspec.Struct, frozen=True):
    sku: str
    count: int = 1


class PlaceOrder(msgspec.Struct, frozen=True):
    email: str
    count: Annotated[int, msgspec.Meta(ge=1, le=10)]
    password: str = ""
    lines: list[Line] = []
    fail: str = ""


class Order(msgspec.Struct, frozen=True):
    id: str
    email: str
    count: int


class FindOrders(msgspec.Struct, frozen=True):
    text: str = ""
    limit: int = 10
    states: list[str] = []


class Found(msgspec.Struct, frozen=True):
    text: str
    limit: int
    states: list[str]


@operation("shop.order", by=[Public("a shop window")])
def order(tx: Transaction, ctx: Context, request: PlaceOrder) -> Change[Order]:
    """Order something."""
    match request.fail:
        case "field":
            raise Invalid(fields={"email": "This address is taken."})
        case "form":
            raise Unavailable()
        case "many":
            raise TooMany(retry_after=7)
        case "step-up":
            raise StepUpNeeded()
        case "missing":
            raise NotFound()
        case "crash":
            raise RuntimeError("secret text of a failure")
    return Change(None, Order(ctx.ids.new("ord"), request.email, request.count))


@operation("shop.find", by=[Public("a shop window")], audited=False)
def find(tx: ReadTransaction, ctx: Context, request: FindOrders) -> Seen[Found]:
    """Find orders."""
    return Seen(Found(request.text, request.limit, request.states))


@operation("shop.mine", by=[Subscriber.own, Role.SUPPORT, ServiceAccount.scoped])
def mine(tx: ReadTransaction, ctx: Context, request: FindOrders) -> Seen[Found]:
    """See one's own orders."""
    return Seen(Found(ctx.actor.id, request.limit, []))


@operation("shop.sweep", by=[SystemOnly("housekeeping")])
def sweep(tx: Transaction, ctx: Context, request: FindOrders) -> Change[None]:
    """Clear the shop."""
    return Change(None, None)


class Memory:
    """A real SQLite database, one connection."""

    dialect = "sqlite"

    def __init__(self) -> None:
        self._engine: Engine = create_engine("sqlite://", poolclass=StaticPool)
        metadata.create_all(self._engine)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection

    async def read(self, work: Callable[[Connection], T]) -> T:
        with self.reading() as connection:
            return work(connection)

    async def write(self, writer: Writer, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    def write_soon(self, writer: Writer, work: Callable[[Connection], object]) -> Future[object]:
        done: Future[object] = Future()
        with self._engine.begin() as connection:
            done.set_result(work(connection))
        return done

    def close(self) -> None:
        self._engine.dispose()


class PlainKeys:
    """MACs are real; sealing is left out, since nothing here is kept."""

    def for_caller(self, caller: str) -> PlainKeys:
        return self

    def ensure_subject(self, subject: str, purpose: str = "subject") -> None: ...
    def destroy_subject(self, subject: str, reason: str) -> None: ...

    def seal(self, subject: str, seal_id: str, row_id: str, plaintext: bytes) -> bytes:
        return plaintext

    def unseal(self, subject: str, seal_id: str, row_id: str, sealed: bytes) -> bytes:
        return sealed

    def blind_index(self, index: str, value: str) -> bytes:
        return self.mac(index, value.encode())

    def mac(self, purpose: str, message: bytes) -> bytes:
        return hmac.digest(purpose.encode(), message, hashlib.sha256)

    def verify_mac(self, purpose: str, message: bytes, tag: bytes) -> None:
        if not hmac.compare_digest(self.mac(purpose, message), tag):
            raise ValueError(purpose)

    def sign(self, purpose: str, message: bytes) -> bytes:
        return b""

    def public_key(self, purpose: str) -> bytes:
        return b""

    def secret(self, purpose: str, length: int = 32) -> bytes:
        return hashlib.sha256(purpose.encode()).digest()[:length]


@dataclass
class Log:
    events: list[Event] = field(default_factory=list)

    def append(self, connection: Connection, events: Sequence[Event]) -> None:
        self.events.extend(events)


class Ports:
    """Authority, approvals, limiter and outbox of a house where little happens."""

    def standing(self, connection: Connection, actor: Actor, now: datetime) -> Standing:
        match actor:
            case TeamMember():
                return Standing(roles=actor.roles, second_factor=actor.second_factor)
            case ServiceAccount():
                return Standing(scopes=actor.scopes)
            case _:
                return Standing()

    def consume(self, *arguments: Any, **named: Any) -> str:
        return ""

    async def spend(self, name: str, key: str, allowed: int, seconds: int) -> None: ...
    async def spend_growing(self, name: str, key: str, allowed: int, waits: Sequence[int], quiet: int) -> None: ...
    async def take_back(self, name: str, key: str, allowed: int, seconds: int) -> None: ...
    async def forgive(self, name: str, key: str) -> None: ...
    async def recognised(self, name: str, key: str, allowed: int) -> bool:
        return False

    async def spread(self, name: str, key: str, member: str, allowed: int, seconds: int) -> bool:
        return False

    async def unspread(self, name: str, key: str, member: str) -> None: ...
    def close(self) -> None: ...
    def wake(self) -> None: ...

    def add(self, *arguments: Any, **named: Any) -> str:
        return "job"


REGISTRY = Registry([order, find, mine, sweep])
ORDERED = notices.declare("test-ordered", "success", "Your order is placed.")


async def show_order(call: Call) -> Response:
    return call.render("problem_types.html", kinds=())


async def place_order(call: Call) -> Response:
    done = await call.submit(order, secrets={"password"}, labels={"email": "Your address"})
    if done.form is not None:
        return Response(msgspec.json.encode(_state(done.form)), done.status)
    return call.go(f"/orders/{done.answer.id}", notice=ORDERED)


async def other_operation(call: Call) -> Response:
    await call.perform(sweep, FindOrders())
    return Response("")


async def show_one(call: Call) -> Response:
    found: Found = await call.perform(mine, FindOrders(text=call.path("id")))
    return Response(found.text)


async def crash(call: Call) -> Response:
    raise RuntimeError("secret text of a failure")


async def hook(call: Call) -> Response:
    return Response(str(sorted(call.request.cookies)))


def _state(form: FormState) -> dict[str, Any]:
    errors = {name: str(text) for name, text in form.errors.items()}
    return {"values": dict(form.values), "errors": errors, "problem": form.problem and str(form.problem)}


ROUTES: tuple[Route, ...] = (
    get("/order", show_order, public="a shop window"),
    post("/order", place_order, order),
    post("/order/wrong", other_operation, order),
    get("/orders/{id}", show_one, mine),
    get("/crash", crash, public="for the test"),
    post("/webhooks/test", hook, order, machine=True),
)


def make_site(actor: Actor | None = None, person: Person | None = None, **settings: Any) -> tuple[Site, Log]:
    """A site whose every visitor is `actor`, and its log."""
    ports, log = Ports(), Log()
    kernel = Kernel(
        registry=REGISTRY, store=Memory(), keys=PlainKeys(), log=log, outbox=ports, authority=ports,
        approvals=ports, limiter=ports, clock=lambda: NOW, random=system_random, pools={},
    )  # fmt: skip

    async def visitor(request: Request) -> Visitor:
        return Visitor(person=person) if actor is None else Visitor(actor, person or Person("Ada"))

    def navigation(visitor: Visitor) -> Navigation:
        main = (
            NavItem("Overview", "/", "home"),
            NavItem("Subscriptions", "/subscriptions", "repeat"),
            NavItem("Components", "/development/components", "box"),
        )
        return Navigation(main=main, footer=(NavItem("Security", "/security"),))

    places = {"not-signed-in": "/sign-in", "step-up-needed": "/confirm"}
    return Site(kernel=kernel, visitor=visitor, navigation=navigation, places=places, **settings), log


def run(work: Any) -> Any:
    return asyncio.run(work)
