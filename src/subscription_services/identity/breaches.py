"""Breached passwords by k-anonymity: the range API of Pwned Passwords, only where the operator switched it on.

Five hexadecimal digits of the password's SHA-1 leave the house; the answer holds every ending that goes with them,
padded, so that neither the question nor the length of the answer tells the password. SHA-1 is what the protocol speaks:
nothing is stored or proved with it.
"""

from __future__ import annotations

import hashlib
import threading
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from subscription_services.kernel.clock import monotonic
from subscription_services.kernel.errors import SettingsError

from .passwords import normalise

TIMEOUT = httpx.Timeout(1.5, connect=1.0)
LARGEST = 1_000_000
LONGEST = 3.0
"""Seconds for a whole answer, however often a little of it comes."""
REST = 30.0
"""Seconds without a question after one that failed: an outage must not keep the pool of bcrypt waiting."""
FOUND, NOT_FOUND, UNREACHABLE = "found", "not found", "unreachable"


class _Resting:
    """Until when nobody is asked, for each address; shared by the threads of the pool."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def now(self, url: str) -> bool:
        with self._lock:
            return monotonic() < self._until.get(url, 0.0)

    def begin(self, url: str) -> None:
        with self._lock:
            self._until[url] = monotonic() + REST


_resting = _Resting()


def checked_url(url: str) -> str:
    """The address as it stands in the settings, with a slash at its end. Raises SettingsError unless it is HTTPS; plain
    HTTP only to this machine itself, for tests."""
    if not url:
        return ""
    parts = urlsplit(url)
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname))):
        raise SettingsError("SUBS_IDENTITY_BREACH_RANGE_URL must begin with https:// (http:// only for this machine).")
    if parts.query or parts.fragment or parts.username:
        raise SettingsError("SUBS_IDENTITY_BREACH_RANGE_URL is a plain address without name, query or fragment.")
    return url if url.endswith("/") else f"{url}/"


def look_up(url: str, password: str) -> str:
    """Whether the password is among breached ones: found, not found, or unreachable. Never raises."""
    if _resting.now(url):
        return UNREACHABLE
    hashed = hashlib.sha1(normalise(password), usedforsecurity=False).hexdigest().upper()
    try:
        answer = _ask(url + hashed[:5])
    except (httpx.HTTPError, ValueError):
        _resting.begin(url)
        return UNREACHABLE
    return FOUND if hashed[5:] in answer else NOT_FOUND


def _ask(address: str) -> frozenset[str]:
    """The endings of the answer, without padding. Raises HTTPError, ValueError for anything that is no answer."""
    headers = {"Add-Padding": "true", "User-Agent": "subscription-services", "Accept": "text/plain"}
    body, until = b"", monotonic() + LONGEST
    with (
        httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as client,
        client.stream("GET", address, headers=headers) as response,
    ):
        if response.status_code != 200:
            raise ValueError("no answer")
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > LARGEST or monotonic() > until:
                raise ValueError("too much, or too slow")
    found = set()
    for line in body.decode("ascii").splitlines():
        ending, separator, count = line.strip().partition(":")
        if not separator or len(ending) != 35:
            raise ValueError("not a line of the protocol")
        if int(count) > 0:
            found.add(ending.upper())
    return frozenset(found)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
