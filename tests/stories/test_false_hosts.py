"""Targets and hosts that a browser would never send, to the listener itself."""

from __future__ import annotations

import re
import socket
import ssl

import pytest

from tests.stories.running import Service
from tests.stories.visitor import Visitor

pytestmark = [pytest.mark.xdist_group("stories")]


def say(service: Service, head: str, body: str = "") -> tuple[int, str]:
    """One request as it stands; status and whole answer."""
    trusted = ssl.create_default_context(cafile=str(service.certificate))
    plain = socket.create_connection(("localhost", service.https_port), timeout=20)
    with plain, trusted.wrap_socket(plain, server_hostname="localhost") as connection:
        text = f"{head}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        connection.sendall(text.encode("latin-1"))
        parts = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except (ConnectionResetError, ssl.SSLError):
            pass
    answer = b"".join(parts).decode("latin-1")
    return (int(answer.split(" ", 2)[1]) if answer.startswith("HTTP/") else 0), answer


def test_a_reset_asked_for_with_a_false_target_leads_nobody_astray(service: Service) -> None:
    vera = Visitor(service).join()
    stranger = Visitor(service)
    form = stranger.form("/forgot", email=vera.email)
    cookie = "; ".join(f"{name}={value}" for name, value in stranger.client.cookies.items())
    own = f"localhost:{service.https_port}"
    body = str(stranger.client.build_request("POST", "/forgot", data=form.fields).content, "ascii")
    rest = (
        f"Origin: {service.url}\r\nCookie: {cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        "X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example"
    )
    asked = 0
    for target, host in (
        ("https://evil.example/forgot", own), ("https://evil.example/forgot", "evil.example"),
        ("/forgot", "evil.example"),
        ("//evil.example/forgot", own), (f"https://{own}@evil.example/forgot", own), ("/forgot", f"{own}@evil.example"),
    ):  # fmt: skip
        status, answer = say(service, f"POST {target} HTTP/1.1\r\nHost: {host}\r\n{rest}", body)
        assert "evil.example" not in answer, (target, host)
        assert status < 500, (target, host)
        asked += status == 303
    assert say(service, f"POST /forgot HTTP/1.1\r\nHost: {own}\r\n{rest}", body)[0] == 303
    letter = service.letter(vera.email, "new password")
    assert set(re.findall(r"https?://[^/\s]+", letter["text"])) == {service.url}
    assert len(service.letters(vera.email)) <= 3 + asked
