"""The layers of the edge, each driven as ASGI."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from subscription_services.edge.address import ClientAddress
from subscription_services.edge.asgi import state_of
from subscription_services.edge.csrf import SESSION, VISIT, Csrf
from subscription_services.edge.headers import SecurityHeaders
from subscription_services.edge.hosts import AllowedHosts
from subscription_services.edge.limits import Limits, RequestLimits
from subscription_services.edge.redirect import redirect_app
from subscription_services.edge.stack import EdgeSettings, protect
from subscription_services.kernel.clock import system_random

ORIGIN = "https://localhost:8443"
KEY = bytes(range(32))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what reached it."""
    request = Request(scope, receive)
    if scope["path"] == "/crash":
        raise RuntimeError("secret text")
    headers = {"x-cookies": ",".join(sorted(request.cookies)), "x-address": str(scope["state"].get("client_address"))}
    token = scope["state"].get("csrf_token")
    if scope["path"] == "/page" and token:
        headers["x-token"] = token()
    if scope["path"] == "/frames":
        headers["cross-origin-embedder-policy"] = "unsafe-none"
    body = await request.body()
    response: Response = PlainTextResponse(str(len(body)), headers=headers)
    if scope["path"] == "/other":
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
    await response(scope, receive, send)


def edge(**settings: Any) -> ASGIApp:
    chosen: dict[str, Any] = {"hosts": ["localhost"], "origins": [ORIGIN], "csrf_key": KEY} | settings
    counter = iter(range(10_000))
    return protect(echo, EdgeSettings(**chosen), random=system_random, new_id=lambda: f"req_{next(counter)}")


def ask(app: ASGIApp, method: str, path: str, **arguments: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return await client.request(method, path, **arguments)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "method, path, headers, status",
    [
        ("GET", "/page", {}, 200),
        ("GET", "/crash", {}, 500),
        ("GET", "/page", {"host": "evil.example"}, 421),
        ("POST", "/page", {}, 403),
        ("POST", "/page", {"content-length": "999999"}, 413),
        ("GET", "/page", {"x": "y" * 40_000}, 431),
    ],
)
def test_every_answer_carries_the_headers(method: str, path: str, headers: dict[str, str], status: int) -> None:
    answer = ask(edge(), method, path, headers=headers)
    assert answer.status_code == status
    assert "secret text" not in answer.text
    got = answer.headers
    assert got["strict-transport-security"] == "max-age=63072000; includeSubDomains"
    assert got["x-content-type-options"] == "nosniff"
    assert got["referrer-policy"] == "strict-origin-when-cross-origin"
    assert got["cross-origin-opener-policy"] == "same-origin"
    assert got["cross-origin-embedder-policy"] == "require-corp"
    assert got["cross-origin-resource-policy"] == "same-origin"
    assert got["cache-control"] == "no-store"
    assert "camera=()" in got["permissions-policy"]
    assert got["x-request-id"].startswith("req_")
    policy = dict(part.partition(" ")[::2] for part in got["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert re.fullmatch(r"'nonce-[A-Za-z0-9+/=]{24}'", policy["script-src"])
    assert policy["style-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in got["content-security-policy"]


def test_each_answer_has_its_own_nonce_and_id() -> None:
    app = edge()
    first, second = ask(app, "GET", "/page"), ask(app, "GET", "/page")
    for name in ("content-security-policy", "x-request-id"):
        assert first.headers[name] != second.headers[name]


def test_the_error_page_names_the_same_nonce_as_the_policy() -> None:
    answer = ask(edge(), "GET", "/page", headers={"host": "evil.example", "accept": "text/html"})
    nonce = re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"])[0]
    assert f'nonce="{nonce}"' in answer.text


def test_only_paying_pages_may_frame_the_processor() -> None:
    app = edge(processor_origins=["https://pay.localhost:9443"])
    usual = ask(app, "GET", "/page").headers["content-security-policy"]
    assert "frame-src 'none'" in usual and "pay.localhost" not in usual
    paying = ask(app, "GET", "/frames").headers
    assert "frame-src https://pay.localhost:9443;" in paying["content-security-policy"]
    assert paying["cross-origin-embedder-policy"] == "unsafe-none"


def test_a_processor_origin_cannot_smuggle_a_directive() -> None:
    with pytest.raises(ValueError):
        SecurityHeaders(echo, random=system_random, new_id=str, processor_origins=["https://a; script-src *"])


def test_cookies_of_the_room_stay_apart() -> None:
    answer = ask(edge(), "GET", "/other")
    assert len(answer.headers.get_list("set-cookie")) == 2


def test_the_state_of_requests_is_not_shared() -> None:
    shared: dict[str, Any] = {"pool": 1}
    first: Scope = {"state": shared}
    state_of(first)["nonce"] = "a"
    assert shared == {"pool": 1} and state_of(first)["pool"] == 1


# limits


async def drive(app: ASGIApp, parts: Iterable[bytes], **scope: Any) -> tuple[int, bytes]:
    """A chunked body, part by part; returns status and how much of the body was asked for."""
    waiting = list(parts)
    total = len(waiting)
    sent: list[Message] = []

    async def receive() -> Message:
        if not waiting:
            return {"type": "http.disconnect"}
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        sent.append(message)

    base: Scope = {
        "type": "http", "method": "POST", "path": "/api/x", "raw_path": b"/api/x", "query_string": b"",
        "headers": [(b"transfer-encoding", b"chunked")], "scheme": "https", "server": ("localhost", 8443),
        "http_version": "1.1", "state": {},
    }  # fmt: skip
    await app({**base, **scope}, receive, send)
    return sent[0]["status"], str(total - len(waiting)).encode()


def test_a_chunked_body_is_cut_off_at_the_limit() -> None:
    app = Limits(echo, RequestLimits(body=1000))
    assert asyncio.run(drive(app, [b"x" * 500] * 2)) == (200, b"2")
    status, read = asyncio.run(drive(app, [b"x" * 500] * 100))
    assert (status, read) == (413, b"3")


def test_a_path_may_have_its_own_limit() -> None:
    app = Limits(echo, RequestLimits(body=10, bodies={"/upload": 5000}))
    assert asyncio.run(drive(app, [b"x" * 4000], path="/upload"))[0] == 200
    assert asyncio.run(drive(app, [b"x" * 4000]))[0] == 413


@pytest.mark.parametrize(
    "headers, query",
    [([(b"a", b"b")] * 65, b""), ([(b"a", b"b" * 33_000)], b""), ([], b"q" * 9000)],
)
def test_too_many_or_too_long_headers_are_refused(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    app = Limits(echo)
    assert asyncio.run(drive(app, [b""], headers=headers, query_string=query))[0] == 431


def test_the_api_gets_problems_and_people_get_pages() -> None:
    big = {"content-length": "999999"}
    assert ask(edge(), "POST", "/api/x", headers=big).json()["type"] == "/problems/too-large"
    page = ask(edge(), "POST", "/sign-up", headers=big)
    assert page.headers["content-type"].startswith("text/html") and "too large" in page.text


# forged requests


def visit(app: ASGIApp) -> tuple[str, str]:
    """Open a page as a new browser: its cookie and its token."""
    answer = ask(app, "GET", "/page")
    cookie = answer.headers["set-cookie"]
    for attribute in ("Path=/", "Secure", "HttpOnly", "SameSite=Lax"):
        assert attribute in cookie
    assert cookie.startswith(f"{VISIT}=") and "Domain" not in cookie
    return cookie.partition("=")[2].partition(";")[0], answer.headers["x-token"]


def submit(app: ASGIApp, cookie: str, token: str, **headers: str) -> int:
    sent = {"origin": ORIGIN, "sec-fetch-site": "same-origin", "cookie": cookie} | headers
    return ask(app, "POST", "/page", data={"csrf_token": token}, headers=sent).status_code


def test_a_form_of_ours_passes_and_others_do_not() -> None:
    app = edge()
    value, token = visit(app)
    cookie = f"{VISIT}={value}"
    assert submit(app, cookie, token) == 200
    assert submit(app, cookie, "") == 403
    assert submit(app, cookie, token[:-1] + ("A" if token[-1] != "A" else "B")) == 403
    assert submit(app, cookie, "é") == 403
    assert submit(app, "", token) == 403
    assert submit(app, f"{VISIT}=other", token) == 403
    assert submit(app, cookie, token, origin="https://evil.example") == 403
    assert submit(app, cookie, token, origin="null") == 403
    assert submit(app, cookie, token, origin="http://localhost:8443") == 403
    assert submit(app, cookie, token, **{"sec-fetch-site": "cross-site"}) == 403
    assert submit(app, cookie, token, **{"sec-fetch-site": "same-site"}) == 403


def test_a_token_of_before_signing_in_does_not_serve_after() -> None:
    app = edge()
    value, token = visit(app)
    assert submit(app, f"{VISIT}={value}; {SESSION}=abc", token) == 403
    signed_in = ask(app, "GET", "/page", headers={"cookie": f"{SESSION}=abc"})
    assert VISIT not in str(signed_in.headers.get_list("set-cookie"))
    assert submit(app, f"{SESSION}=abc", signed_in.headers["x-token"]) == 200
    assert submit(app, f"{SESSION}=abd", signed_in.headers["x-token"]) == 403


def test_json_with_a_session_needs_the_header() -> None:
    app = edge()
    token = ask(app, "GET", "/page", headers={"cookie": f"{SESSION}=abc"}).headers["x-token"]
    usual = {"cookie": f"{SESSION}=abc", "origin": ORIGIN}
    assert ask(app, "POST", "/api/x", json={}, headers=usual).status_code == 403
    assert ask(app, "POST", "/api/x", json={}, headers={**usual, "x-csrf-token": token}).status_code == 200


def test_a_program_without_cookies_may_use_the_api_only() -> None:
    app = edge()
    assert ask(app, "POST", "/api/x", json={}).status_code == 200
    assert ask(app, "POST", "/page", json={}).status_code == 403
    assert ask(app, "POST", "/api/x", data={"a": "b"}).status_code == 403
    assert ask(app, "POST", "/api/x", json={}, headers={"origin": "https://evil.example"}).status_code == 403


def test_tokens_and_webhooks_travel_without_cookies() -> None:
    app = edge(machine_paths=["/webhooks/processor"])
    cookie = {"cookie": f"{SESSION}=abc"}
    bearer = ask(app, "POST", "/api/x", json={}, headers={**cookie, "authorization": "Bearer t"})
    assert (bearer.status_code, bearer.headers["x-cookies"]) == (200, "")
    hook = ask(app, "POST", "/webhooks/processor", content=b"{}", headers=cookie)
    assert (hook.status_code, hook.headers["x-cookies"]) == (200, "")
    looked = ask(app, "GET", "/page", headers={**cookie, "authorization": "bearer t"})
    assert looked.headers["x-cookies"] == ""


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError):
        Csrf(echo, origins=[ORIGIN], key=b"short", random=system_random)


# hosts and addresses


@pytest.mark.parametrize(
    "host, status",
    [
        ("localhost", 200), ("LOCALHOST:8443", 200), ("[::1]:8443", 200), ("[::1]", 200), ("", 421),
        ("localhost:", 421), ("localhost:80:80", 421), ("localhost.evil.example", 421), ("evil@localhost", 421),
        ("localhost:٣", 421),
    ],
)  # fmt: skip
def test_only_configured_hosts_are_answered(host: str, status: int) -> None:
    app = ClientAddress(AllowedHosts(echo, ["localhost", "[::1]"]))
    assert ask(app, "GET", "/page", headers={"host": host.encode()}).status_code == status


def test_two_host_headers_are_refused() -> None:
    headers = [(b"host", b"localhost"), (b"host", b"evil.example")]
    assert asyncio.run(drive(AllowedHosts(echo, ["localhost"]), [b""], headers=headers))[0] == 421


def test_a_pattern_of_hosts_is_refused() -> None:
    with pytest.raises(ValueError):
        AllowedHosts(echo, ["*"])


@pytest.mark.parametrize(
    "peer, forwarded, found",
    [
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:198.51.100.7", "", "198.51.100.7"),
    ],
)
def test_only_trusted_proxies_say_who_asks(peer: str, forwarded: str, found: str) -> None:
    app = ClientAddress(echo, ["10.0.0.0/8"])
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    assert app.of({"client": (peer, 1), "headers": headers}) == found
    alone = ClientAddress(echo)
    assert alone.of({"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", b"1.2.3.4")]}) == "10.0.0.1"


# plain HTTP


def test_plain_http_leads_pages_to_https_by_configuration() -> None:
    app = redirect_app("subs.example.org", 443)
    answer = ask(app, "GET", "/a%20b?x=1&y=%0d%0aSet-Cookie:z", headers={"host": "evil.example"})
    assert answer.status_code == 308
    assert answer.headers["location"] == "https://subs.example.org/a%20b?x=1&y=%0d%0aSet-Cookie:z"
    assert "set-cookie" not in answer.headers
    local = ask(redirect_app("localhost", 8443), "POST", "/sign-in", data={"a": "b"})
    assert (local.status_code, local.headers["location"]) == (308, "https://localhost:8443/sign-in")


def test_plain_http_refuses_the_api() -> None:
    answer = ask(redirect_app("localhost", 8443), "GET", "/api/shop.find", headers={"authorization": "Bearer t"})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json()["type"] == "/problems/https-needed"
    assert "location" not in answer.headers


def test_a_redirect_cannot_leave_the_site() -> None:
    async def run() -> bytes:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        scope: Scope = {
            "type": "http", "method": "GET", "path": "x", "raw_path": b"@evil.example/\r\n", "query_string": b"\xff\r",
        }  # fmt: skip
        await redirect_app("localhost", 443)(scope, receive, send)
        return bytes(dict(sent[0]["headers"])[b"location"])

    assert asyncio.run(run()) == b"https://localhost/?%FF%0D"
