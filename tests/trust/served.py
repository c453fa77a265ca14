"""The trust room served as it is in production: real store, keys and log behind the real edge and listeners."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from subscription_services import trust
from subscription_services.edge.certificate import local_certificate
from subscription_services.edge.listener import Listening, server
from subscription_services.edge.redirect import redirect_app
from subscription_services.edge.stack import EdgeSettings, protect
from subscription_services.jobs import DatabaseOutbox, JobKinds, run_due
from subscription_services.kernel.checks import Check, Doors
from subscription_services.kernel.clock import system_clock, system_random
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.operations import Change, Declined, Public, Registry, operation
from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.transaction import Transaction
from subscription_services.keys import jobs as keys_jobs
from subscription_services.ledger.sequencer import sequence
from subscription_services.testing import World
from subscription_services.web.call import Call, Navigation, Site, Visitor
from subscription_services.web.page import NavItem
from subscription_services.web.pages import toolkit_routes
from subscription_services.web.routes import RouteTable, get, post

T = TypeVar("T")


class SignIn(msgspec.Struct, frozen=True):
    email: str
    password: str


@operation("trust.test_sign_in", by=[Public("a stand-in for the sign-in form")])
def sign_in(tx: Transaction, ctx: Context, request: SignIn) -> Change[None] | Declined:
    """Refuse, and leave an event with the browser's name sealed in it."""
    return Declined(NotFound())


async def show_form(call: Call) -> Response:
    return HTMLResponse(
        '<form method="post" action="/sign-in">'
        f'<input type="hidden" name="csrf_token" value="{call.view.csrf}"><input type="hidden" name="idempotency_key" '
        f'value="{call.view.new_key()}"><input type="email" name="email"><input type="password" name="password"></form>'
    )


async def send_form(call: Call) -> Response:
    done = await call.submit(sign_in, secrets={"password"})
    return HTMLResponse("no", done.status)


@dataclass
class Served:
    """A house with listeners. `doors` lead to it from outside."""

    world: World
    kernel: Kernel
    outbox: DatabaseOutbox
    register: trust.Register
    doors: Doors

    async def run_jobs(self) -> int:
        return await run_due(self.kernel, self.outbox, "test")

    async def sequence(self) -> None:
        await sequence(self.kernel.store, self.world.house.log, self.kernel.clock)


def room(world: World, checks: Iterable[Check] = ()) -> tuple[Kernel, DatabaseOutbox, trust.Register]:
    """The trust room on a world, with these checks."""
    register = trust.make_register(checks)
    doors = lambda kernel: Doors(kernel, world.house.settings, "https://localhost:1", "http://localhost:1", "")  # noqa: E731
    outbox = DatabaseOutbox(JobKinds(trust.kinds(register, doors)), system_random)
    registry = Registry((*trust.OPERATIONS, *keys_jobs.OPERATIONS, sign_in))
    return replace(world.house.kernel, registry=registry, outbox=outbox), outbox, register


def site(kernel: Kernel) -> Site:
    async def visitor(request: Request) -> Visitor:
        return Visitor()

    links = Navigation(
        main=(NavItem("Plans", "/plans"), NavItem("Security", "/security"), NavItem("Sign in", "/sign-in")),
        footer=(NavItem("Security", "/security"),),
    )
    return Site(kernel, visitor, lambda visitor: links)


def routes() -> RouteTable:
    form = (get("/sign-in", show_form, public="a form"), post("/sign-in", send_form, sign_in))
    return RouteTable((*trust.routes(), *form, *toolkit_routes(development=False)))


@asynccontextmanager
async def serving(world: World, folder: Path, checks: Iterable[Check] = ()) -> AsyncIterator[Served]:
    """Listen on two free ports of the loopback address while this is open."""
    kernel, outbox, register = room(world, checks)
    files = local_certificate(folder, system_clock(), ("localhost", "127.0.0.1"))
    https, http = free_port(), free_port()
    url = f"https://localhost:{https}"
    edge = EdgeSettings(hosts={"localhost"}, origins={url}, csrf_key=bytes(range(32)))
    ids = Ids(kernel.clock, kernel.random)
    app = protect(routes().application(site(kernel)), edge, random=kernel.random, new_id=lambda: ids.new("req"))
    secure = server(app, Listening("127.0.0.1", https, files.certificate, files.key, lifespan=False))
    plain = server(redirect_app("localhost", https), Listening("127.0.0.1", http, lifespan=False))
    tasks = [asyncio.ensure_future(listener.serve()) for listener in (secure, plain)]
    try:
        for port in (https, http):
            await opened(port)
        doors = Doors(kernel, world.house.settings, url, f"http://localhost:{http}", str(files.certificate))
        yield Served(world, kernel, outbox, register, doors)
    finally:
        secure.stop()  # type: ignore[no-untyped-call]
        plain.stop()  # type: ignore[no-untyped-call]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)


def through(world: World, folder: Path, work: Callable[[Served], Awaitable[T]], checks: Iterable[Check] = ()) -> T:
    """Serve the house, do `work`, stop."""

    async def all_of_it() -> T:
        async with serving(world, folder, checks) as served:
            return await work(served)

    done: T = world.run(all_of_it())
    return done


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def opened(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
    raise TimeoutError(f"nothing listens on {port}")
