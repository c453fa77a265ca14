"""Checks of encryption in transit, tried on the listeners as any stranger could."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import ssl
import warnings
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from subscription_services.kernel.checks import Doors, Finding, Verdict

SECONDS = 8.0
TICKET_SECONDS = 1.5
ONE_YEAR = 31_536_000
OLD = {"TLS 1.0": "TLSv1", "TLS 1.1": "TLSv1_1", "TLS 1.2": "TLSv1_2"}
PAGES = ("/", "/security", "/sign-in", "/sign-up")
# errors of our own library: the old version never left this machine
_NOT_OFFERED = ("NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE", "UNSUPPORTED_PROTOCOL", "NO_CIPHER_MATCH")


@dataclass(frozen=True, slots=True)
class Handshake:
    """How a listener answered: `version` is None when it refused; `offered` is False when we could not even ask."""

    version: str | None
    cipher: str = ""
    offered: bool = True
    reason: str = ""


def outside(doors: Doors, **more: Any) -> httpx.AsyncClient:
    """A client with no privileges: it trusts the listener's certificate and follows nothing by itself."""
    context = ssl.create_default_context(cafile=doors.certificate or None)
    headers = {**doors.headers(), **more.pop("headers", {})}
    return httpx.AsyncClient(
        headers=headers, verify=context, trust_env=False, follow_redirects=False, timeout=SECONDS, **more
    )


async def only_tls13(doors: Doors) -> Finding:
    """A TLS 1.3 handshake must succeed and each older one must be refused."""
    address = _address(doors.https_url)
    modern = await asyncio.to_thread(shake_hands, address, "TLSv1_3")
    if modern.version != "TLSv1.3":
        return Finding(Verdict.BROKEN, "The listener does not speak TLS 1.3.", {"tls_1_3": modern.reason or "refused"})
    evidence: dict[str, str | int] = {"listener": f"port {address[1]}", "tls_1_3": f"accepted, {modern.cipher}"}
    accepted, unasked = [], []
    for name, version in OLD.items():
        answer = await asyncio.to_thread(shake_hands, address, version)
        if answer.version is not None:
            accepted.append(name)
        elif not answer.offered:
            unasked.append(name)
        word = "accepted" if answer.version else "refused" if answer.offered else "the library here cannot offer it"
        evidence[name.lower().replace(" ", "_").replace(".", "_")] = word
    if accepted:
        return Finding(Verdict.BROKEN, f"The listener accepted {' and '.join(accepted)}.", evidence)
    if "TLS 1.2" in unasked:
        return Finding(
            Verdict.COULD_NOT_CHECK, "The TLS library here cannot offer TLS 1.2, so nothing was tried.", evidence
        )
    note = f" {' and '.join(unasked)} could not be offered from here." if unasked else ""
    return Finding(
        Verdict.KEPT, f"TLS 1.3 was accepted and every older version that was tried was refused.{note}", evidence
    )


def shake_hands(address: tuple[str, int], version: str) -> Handshake:
    """Try one version and nothing else. Raises OSError when nothing listens."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # who it is does not matter here, only what it speaks
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        if version != "TLSv1_3":
            context.set_ciphers("ALL:@SECLEVEL=0")
    except (ssl.SSLError, ValueError, KeyError):
        return Handshake(None, offered=False, reason="not in the library")
    with socket.create_connection(address, SECONDS) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=address[0]) as secure:
                cipher = secure.cipher()
                return Handshake(secure.version(), cipher[0] if cipher else "")
        except ssl.SSLError as error:
            reason = error.reason or "closed"
            return Handshake(None, offered=reason not in _NOT_OFFERED, reason=reason)
        except (ConnectionError, EOFError):
            return Handshake(None, reason="closed")


async def https_only(doors: Doors) -> Finding:
    """Plain HTTP redirects pages with 308 and refuses the API; every cookie set over HTTPS is bound to this host."""
    wrong: list[str] = []
    cookies = 0
    wanted = urlsplit(doors.https_url)
    async with outside(doors) as client:
        for path in PAGES:
            answer = await client.get(doors.http_url + path)
            target = urlsplit(answer.headers.get("location", ""))
            if answer.status_code != 308 or (target.scheme, target.port or 443) != ("https", wanted.port or 443):
                wrong.append(f"plain HTTP answered {path} with {answer.status_code}")
            if "set-cookie" in answer.headers:
                wrong.append("plain HTTP set a cookie")
        for method in ("GET", "POST"):
            answer = await client.request(method, doors.http_url + "/api/openapi.json")
            if not 400 <= answer.status_code < 500:
                wrong.append(f"plain HTTP answered an API {method} with {answer.status_code}")
        for path in PAGES:
            client.cookies.clear()
            answer = await client.get(doors.https_url + path)
            for cookie in answer.headers.get_list("set-cookie"):
                cookies += 1
                if not bound_cookie(cookie):
                    wrong.append(f"the cookie {cookie.partition('=')[0]} is not Secure and __Host-")
    evidence: dict[str, str | int] = {"pages_tried": len(PAGES), "api_calls_tried": 2, "cookies_seen": cookies}
    if wrong:
        return Finding(Verdict.BROKEN, f"Not everything is HTTPS: {'; '.join(wrong[:3])}.", evidence)
    return Finding(
        Verdict.KEPT, "Plain HTTP led to HTTPS or was refused, and every cookie was Secure and __Host-.", evidence
    )


def bound_cookie(header: str) -> bool:
    """Whether a Set-Cookie header is Secure with the __Host- prefix (RFC 6265bis: Path=/ and no Domain)."""
    name, *attributes = [part.strip() for part in header.split(";")]
    named = {item.partition("=")[0].lower(): item.partition("=")[2] for item in attributes}
    return name.startswith("__Host-") and "secure" in named and named.get("path") == "/" and "domain" not in named


async def hsts_everywhere(doors: Doors) -> Finding:
    """A good answer, a missing page and refusals all carry the header."""
    tries = (("GET", "/security.json"), ("GET", "/no-such-page"), ("DELETE", "/security"), ("POST", "/sign-in"))
    wrong, evidence = [], {}
    async with outside(doors) as client:
        for method, path in tries:
            answer = await client.request(method, doors.https_url + path)
            values = answer.headers.get_list("strict-transport-security")
            if len(values) != 1 or not long_hsts(values[0]):
                wrong.append(str(answer.status_code))
            evidence[f"answer_{answer.status_code}"] = values[0] if values else "no header"
    statuses = [name.removeprefix("answer_") for name in evidence]
    if wrong:
        return Finding(Verdict.BROKEN, f"Answers without HSTS of a year: {', '.join(wrong)}.", evidence)
    if (
        "200" not in statuses
        or "404" not in statuses
        or not any(status >= "400" and status != "404" for status in statuses)
    ):
        return Finding(
            Verdict.COULD_NOT_CHECK,
            "The service did not give the kinds of answers that were to be looked at.",
            evidence,
        )
    return Finding(Verdict.KEPT, f"HSTS of at least a year stood on answers {', '.join(sorted(statuses))}.", evidence)


def long_hsts(value: str) -> bool:
    """RFC 6797: max-age of a year or more, with includeSubDomains; directives in any case and order."""
    directives = [part.strip().lower() for part in value.split(";")]
    ages = [int(found[1]) for part in directives if (found := re.fullmatch(r'max-age="?(\d+)"?', part))]
    return len(ages) == 1 and ages[0] >= ONE_YEAR and "includesubdomains" in directives


async def forward_secret(doors: Doors) -> Finding:
    """Only ephemeral key exchange: TLS 1.3 with an ephemeral group, nothing older, and no 0-RTT."""
    older = await only_tls13(doors)
    if older.verdict is not Verdict.KEPT:
        return Finding(older.verdict, older.says, older.evidence)
    program = shutil.which("openssl")
    if program is None:
        return Finding(
            Verdict.COULD_NOT_CHECK, "The openssl program, which shows groups and 0-RTT, is not installed here."
        )
    shown = await _openssl(program, doors)
    group = re.search(r"(?:Server Temp Key|Negotiated TLS1\.3 group|Peer Temp Key): ([^\r\n,]+)", shown)
    early = [int(size) for size in re.findall(r"Max Early Data: (\d+)", shown)]
    cipher = re.search(r"Cipher is (\S+)", shown)
    if group is None or cipher is None:
        return Finding(Verdict.COULD_NOT_CHECK, "The handshake could not be looked at.")
    evidence: dict[str, str | int] = {
        "group": group[1], "cipher": cipher[1], "session_tickets_seen": len(early),
        "largest_early_data": max(early, default=0),
    }  # fmt: skip
    if any(early):
        return Finding(Verdict.BROKEN, "The listener accepts 0-RTT data, which is not forward secret.", evidence)
    hybrid = "MLKEM" in group[1].upper() or "KYBER" in group[1].upper()
    note = "" if hybrid else " A post-quantum hybrid group was not chosen: the library that asked may not have one."
    says = f"Keys came from the ephemeral group {group[1]}, and no 0-RTT data is accepted.{note}"
    return Finding(Verdict.KEPT, says, evidence)


async def _openssl(program: str, doors: Doors) -> str:
    host, port = _address(doors.https_url)
    process = await asyncio.create_subprocess_exec(
        program, "s_client", "-connect", f"{host}:{port}", "-servername", host, "-tls1_3",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    request = f"GET /security.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    assert process.stdin is not None
    process.stdin.write(request)
    try:
        # tickets come after the handshake; the program writes what it saw when it ends, which it does with its input
        await asyncio.sleep(TICKET_SECONDS)
        process.stdin.close()
        output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode("utf-8", "replace")


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 443
