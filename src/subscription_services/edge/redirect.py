"""What answers on plain HTTP: pages are sent to HTTPS, API requests are refused. No cookies, nothing else."""

from __future__ import annotations

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from subscription_services.web.problem_kinds import KINDS

_API = ("/api/", "/webhooks/")


def redirect_app(host: str, https_port: int) -> ASGIApp:
    """The application of the plain listener. `host` comes from configuration, never from the request."""
    base = f"https://{host}" if https_port == 443 else f"https://{host}:{https_port}"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, headers, body = _answer(base, scope)
        headers = [
            *headers,
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
            (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


def _answer(base: str, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    path = str(scope["path"])
    if path == "/api" or path.startswith(_API):
        # a token in this request has been seen by the network: a redirect would hide that from the client
        kind = KINDS["https-needed"]
        body = {
            "type": f"/problems/{kind.name}",
            "title": kind.title,
            "status": kind.status,
            "detail": kind.remedy,
            "code": kind.name,
        }
        return kind.status, [(b"content-type", b"application/problem+json")], msgspec.json.encode(body)
    raw = scope.get("raw_path") or path.encode("utf-8", "replace")
    target = "".join(chr(byte) if 0x20 < byte < 0x7F and byte != 0x5C else f"%{byte:02X}" for byte in raw)
    query = "".join(chr(byte) if 0x20 < byte < 0x7F else f"%{byte:02X}" for byte in scope["query_string"])
    if not target.startswith("/"):
        target = "/"
    location = base + target + (f"?{query}" if query else "")
    return 308, [(b"location", location.encode("ascii")), (b"content-type", b"text/plain; charset=utf-8")], b"HTTPS\n"
