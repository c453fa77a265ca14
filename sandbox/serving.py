"""Runs a stand-in: in the foreground until a signal, or in a thread of its own for tests."""

import asyncio
import logging
import signal
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.loopback import check_listen_address, choose_port

T = TypeVar("T")
Main = Callable[[Callable[[T], None], asyncio.Event], Awaitable[None]]


class DidNotStart(RuntimeError):
    """A stand-in ended before it was ready."""


@dataclass(frozen=True)
class Listen:
    """Where to listen: a loopback host, a port (0 chooses one), and a certificate for HTTPS (TLS 1.3 only)."""

    host: str = "127.0.0.1"
    port: int = 0
    cert: Path | None = None
    key: Path | None = None


@asynccontextmanager
async def listening(app: ASGIApp, listen: Listen) -> AsyncIterator[str]:
    """Serve the application and give its URL once it accepts connections; stops on leaving.

    Raises NotLoopback and PortInUse.
    """
    host = check_listen_address(listen.host)
    port = choose_port(host, listen.port)
    server = Server(
        _reporting(app),
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
        ssl_cert=listen.cert,
        ssl_key=listen.key,
    )
    logging.getLogger("_granian").setLevel(logging.CRITICAL)
    before = _native_threads()
    serving = asyncio.create_task(server.serve())
    try:
        await _accepts(host, port, serving)
        name = f"[{host}]" if ":" in host else host
        yield f"{'https' if listen.cert else 'http'}://{name}:{port}"
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # granian leaves it untyped
        await asyncio.gather(serving, return_exceptions=True)
        await _threads_end(before)


def _reporting(app: ASGIApp) -> ASGIApp:
    async def reported(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except ConnectionResetError:
            raise
        except Exception:
            traceback.print_exc()  # source lines only, no values
            raise

    return reported


def _native_threads() -> set[int]:
    tasks = Path("/proc/self/task")
    found = {int(task.name) for task in tasks.iterdir()} if tasks.exists() else set()
    return found - {thread.native_id for thread in threading.enumerate() if thread.native_id is not None}


async def _threads_end(before: set[int]) -> None:
    # The server's native threads outlive its task by a moment; one that asks for the interpreter while it shuts
    # down aborts the whole process.
    for _ in range(250):
        if not _native_threads() - before:
            return
        await asyncio.sleep(0.02)


async def _accepts(host: str, port: int, serving: "asyncio.Task[None]") -> None:
    for _ in range(200):
        if serving.done():
            raise DidNotStart(f"the server on {host}:{port} ended at once") from serving.exception()
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise DidNotStart(f"nothing accepts connections on {host}:{port}")


def in_foreground(main: Main[T], announce: Callable[[T], None]) -> None:
    """Run until SIGTERM or SIGINT."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(announce, stop)

    asyncio.run(run())


@contextmanager
def in_thread(main: Main[T]) -> Iterator[T]:
    """Run in a thread; gives what was announced and stops on leaving. Raises what start-up raised."""
    ready = threading.Event()
    announced: list[T] = []
    failed: list[BaseException] = []
    handles: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def announce(value: T) -> None:
        announced.append(value)
        ready.set()

    async def run() -> None:
        stop = asyncio.Event()
        handles.append((asyncio.get_running_loop(), stop))
        await main(announce, stop)

    def body() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=body, name="sandbox", daemon=True)
    thread.start()
    ready.wait(30)
    if not announced:
        raise failed[0] if failed else DidNotStart("not ready after 30 seconds")
    try:
        yield announced[0]
    finally:
        loop, stop = handles[0]
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join(15)
