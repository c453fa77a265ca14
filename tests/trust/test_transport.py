"""Checks of encryption in transit pass on the real edge and fail on servers that break the promise."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from subscription_services.edge.certificate import local_certificate
from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.clock import system_clock
from subscription_services.testing import World
from subscription_services.trust import run_check, transport
from tests.trust.bad_servers import Answers, answer, bad
from tests.trust.served import Served, free_port, opened, through

Run = Callable[[Doors], Awaitable[Finding]]
LONG = "Strict-Transport-Security: max-age=31536000; includeSubDomains"


@pytest.fixture
def engine() -> str:
    """Nothing here depends on the store."""
    return "sqlite"


@pytest.mark.parametrize(
    "run", [transport.only_tls13, transport.https_only, transport.hsts_everywhere, transport.forward_secret]
)
def test_the_real_edge_keeps_its_promises(world: World, tmp_path: Path, run: Run) -> None:
    async def work(served: Served) -> Finding:
        return await run(served.doors)

    found = through(world, tmp_path / "tls", work)
    assert found.verdict is Verdict.KEPT, found


def test_what_was_seen_is_evidence(world: World, tmp_path: Path) -> None:
    async def work(served: Served) -> tuple[Finding, Finding, Finding]:
        return (
            await transport.only_tls13(served.doors),
            await transport.forward_secret(served.doors),
            await transport.https_only(served.doors),
        )

    versions, secrecy, https = through(world, tmp_path / "tls", work)
    assert versions.evidence["tls_1_2"] == "refused"
    assert str(versions.evidence["tls_1_3"]).startswith("accepted, TLS_")
    assert secrecy.evidence["largest_early_data"] == 0
    assert secrecy.evidence["group"]
    assert https.evidence["cookies_seen"] != 0


def on_bad(world: World, folder: Path, run: Run, answers: Answers, **more: object) -> Finding:
    async def work() -> Finding:
        async with bad(world, folder, answers, **more) as doors:  # type: ignore[arg-type]
            return await run_check(Check("transit.tls13", "how", run), doors)

    found: Finding = world.run(work())
    return found


def fine(method: str, path: str) -> bytes:
    return answer("404 Not Found" if "no-such" in path else "200 OK" if method == "GET" else "403 Forbidden", LONG)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
@pytest.mark.parametrize("run", [transport.only_tls13, transport.forward_secret])
def test_an_older_version_breaks_the_promise(world: World, tmp_path: Path, version: ssl.TLSVersion, run: Run) -> None:
    found = on_bad(world, tmp_path, run, fine, oldest=version)
    assert found.verdict is Verdict.BROKEN
    assert "TLS 1.2" in found.says


def test_a_listener_without_tls13_breaks_the_promise(world: World, tmp_path: Path) -> None:
    v12 = ssl.TLSVersion.TLSv1_2
    found = on_bad(world, tmp_path, transport.only_tls13, fine, oldest=v12, newest=v12)
    assert (found.verdict, found.says) == (Verdict.BROKEN, "The listener does not speak TLS 1.3.")


@pytest.mark.parametrize("run", [transport.only_tls13, transport.https_only, transport.hsts_everywhere])
def test_a_service_that_is_down_could_not_be_checked(world: World, tmp_path: Path, run: Run) -> None:
    async def work() -> Finding:
        async with bad(world, tmp_path, fine) as doors:
            nowhere = f"localhost:{free_port()}"
            shut = Doors(doors.kernel, doors.settings, f"https://{nowhere}", f"http://{nowhere}", doors.certificate)
            return await run_check(Check("transit.tls13", "how", run), shut)

    assert world.run(work()).verdict is Verdict.COULD_NOT_CHECK


def test_an_untrusted_certificate_is_not_taken(world: World, tmp_path: Path) -> None:
    async def work() -> Finding:
        async with bad(world, tmp_path / "one", fine) as doors, bad(world, tmp_path / "two", fine) as other:
            wrong = Doors(doors.kernel, doors.settings, doors.https_url, doors.http_url, other.certificate)
            return await run_check(Check("transit.hsts", "how", transport.hsts_everywhere), wrong)

    assert world.run(work()).verdict is Verdict.COULD_NOT_CHECK


@pytest.mark.parametrize(
    "header",
    ["X: y", "Strict-Transport-Security: max-age=31535999; includeSubDomains",
     "Strict-Transport-Security: max-age=31536000",
     "Strict-Transport-Security: max-age=0; includeSubDomains", f"{LONG}\r\n{LONG}"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["200 OK", "404 Not Found", "403 Forbidden"])
def test_hsts_missing_or_short_on_any_kind_of_answer(world: World, tmp_path: Path, where: str, header: str) -> None:
    def answers(method: str, path: str) -> bytes:
        good = fine(method, path)
        return answer(where, header) if good.startswith(f"HTTP/1.1 {where}".encode()) else good

    assert on_bad(world, tmp_path, transport.hsts_everywhere, answers).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    "value, good",
    [
        ("max-age=63072000; includeSubDomains", True),
        ('includesubdomains ; MAX-AGE="31536000"; preload', True),
        ("max-age=31536000; max-age=1; includeSubDomains", False),
        ("max-age=-31536000; includeSubDomains", False),
        ("", False),
    ],
)
def test_hsts_is_read_as_browsers_do(value: str, good: bool) -> None:
    assert transport.long_hsts(value) is good


@pytest.mark.parametrize(
    "header, good",
    [
        ("__Host-s=1; Path=/; Secure; HttpOnly", True),
        ("__Host-s=1; path=/; secure", True),
        ("s=1; Path=/; Secure", False),
        ("__Host-s=1; Path=/", False),
        ("__Host-s=1; Path=/account; Secure", False),
        ("__Host-s=1; Path=/; Secure; Domain=example.org", False),
    ],
)
def test_cookies(header: str, good: bool) -> None:
    assert transport.bound_cookie(header) is good


@pytest.mark.parametrize(
    "plain, cookie",
    [
        ("200 OK", ""),
        ("302 Found", ""),
        ("308 Permanent Redirect to http", ""),
        ("308 Permanent Redirect", "Set-Cookie: s=1; Path=/"),
    ],
)
def test_plain_http_that_answers_anything_else_breaks_the_promise(
    world: World, tmp_path: Path, plain: str, cookie: str
) -> None:
    def answers(method: str, path: str) -> bytes:
        if path.startswith("/api"):
            return answer("403 Forbidden")
        scheme = "http" if plain.endswith("http") else "https"
        return answer(plain, f"Location: {scheme}://localhost/", *([cookie] if cookie else []))

    assert on_bad(world, tmp_path, transport.https_only, fine, plain=answers).verdict is Verdict.BROKEN


def test_an_api_that_answers_on_plain_http_breaks_the_promise(world: World, tmp_path: Path) -> None:
    found = on_bad(world, tmp_path, transport.https_only, fine, plain=lambda method, path: answer("200 OK"))
    assert found.verdict is Verdict.BROKEN


def test_early_data_breaks_the_promise(world: World, tmp_path: Path) -> None:
    program = shutil.which("openssl")
    assert program is not None
    files = local_certificate(tmp_path, system_clock(), ("localhost",))
    port = free_port()
    command = [program, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(files.certificate), "-tls1_3",
               "-key", str(files.key), "-early_data", "-max_early_data", "4096"]  # fmt: skip
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:

        async def work() -> Finding:
            await opened(port)
            async with bad(world, tmp_path / "x", fine) as doors:
                there = Doors(doors.kernel, doors.settings, f"https://localhost:{port}", doors.http_url, "")
                return await transport.forward_secret(there)

        found = world.run(work())
    finally:
        server.terminate()
        server.wait(10)
    assert found.verdict is Verdict.BROKEN
    assert "0-RTT" in found.says
