"""Servers that break a promise on purpose, on real sockets."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from subscription_services.edge.certificate import CertificateFiles, local_certificate
from subscription_services.kernel.checks import Doors
from subscription_services.kernel.clock import system_clock
from subscription_services.testing import World
from tests.trust.served import room

Answers = Callable[[str, str], bytes]
"""From method and path to a whole HTTP answer."""


def answer(status: str, *headers: str, body: str = "x") -> bytes:
    head = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def context(files: CertificateFiles, oldest: ssl.TLSVersion, newest: ssl.TLSVersion) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version, made.maximum_version = oldest, newest
    if oldest < ssl.TLSVersion.TLSv1_2:
        made.set_ciphers("ALL:@SECLEVEL=0")
    made.load_cert_chain(files.certificate, files.key)
    return made


@asynccontextmanager
async def bad(
    world: World,
    folder: Path,
    answers: Answers,
    plain: Answers | None = None,
    oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> AsyncIterator[Doors]:
    """Doors to an HTTPS server that answers so, and a plain one."""
    files = local_certificate(folder, system_clock(), ("localhost", "127.0.0.1"))

    def handler(answers: Answers) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                method, path, *_ = (await reader.readline()).decode().split()
                writer.write(answers(method, path))
                await writer.drain()
            except (ConnectionError, ValueError):
                return
            finally:
                writer.close()

        return handle

    secure = await asyncio.start_server(handler(answers), "127.0.0.1", 0, ssl=context(files, oldest, newest))
    open_ = await asyncio.start_server(handler(plain or answers), "127.0.0.1", 0)
    https, http = (item.sockets[0].getsockname()[1] for item in (secure, open_))
    kernel, _, _ = room(world)
    try:
        yield Doors(
            kernel, world.house.settings, f"https://localhost:{https}", f"http://localhost:{http}",
            str(files.certificate),
        )  # fmt: skip
    finally:
        secure.close()
        open_.close()
