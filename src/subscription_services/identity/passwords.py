"""Passwords: every one takes the same way, whatever its length or bytes.

normalised (NFC, SP 800-63B-4 section 3.1.1.2) -> HMAC-SHA-384 under a key from keys -> base64 -> bcrypt. So neither
bcrypt's 72 bytes nor NUL bytes nor a stolen table help an attacker.
"""

from __future__ import annotations

import base64
import hmac
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import bcrypt
from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS
from zxcvbn.matching import RANKED_DICTIONARIES

from subscription_services.kernel.clock import monotonic
from subscription_services.kernel.words import as_words, sentences, words

MINIMUM_COST = 12
SHORTEST = 12
"""Characters. SP 800-63B-4 asks for 15 where the password is the only factor and 8 with a second; the second factor
is optional here and strongly recommended, so the shortest lies between."""
LONGEST = 256
GUESSED_QUICKLY = 2
"""A score under this is refused: fewer than a million guesses (zxcvbn)."""
VERSION = b"v1"
_PRODUCT_WORDS = ("subscription services", "subscriptionservices")


JUDGED = 72
"""Characters that are looked at; more only make it stronger."""
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Strength:
    """`score` from 0, guessed at once, to 4, very strong; `advice` in whole sentences."""

    score: int
    advice: tuple[str, ...]


def normalise(password: str) -> bytes:
    """NFC in UTF-8."""
    return unicodedata.normalize("NFC", password).encode()


def weakness(password: str, *known: str) -> str | None:
    """Why this password is refused, in words, or None. `known` are the person's own name and address."""
    text = unicodedata.normalize("NFC", password)
    if len(text) < SHORTEST:
        return words(
            "Use at least %(shortest)s characters. A few unrelated words are easy to remember.", shortest=SHORTEST
        )
    if len(text) > LONGEST:
        return words("Use at most %(longest)s characters.", longest=LONGEST)
    folded = text.casefold()
    forms = (folded, folded.strip("0123456789!?. "), _unit(folded))
    if not forms[1] or len(set(folded)) < 5 or any(form in _common() for form in forms):
        return words("This password is among those that attackers try first. Choose another.")
    for word in (*known, *_PRODUCT_WORDS):
        for part in (word, word.partition("@")[0]):
            if len(part) >= 4 and (folded == part.casefold() or folded.replace(part.casefold(), "") in ("", "123")):
                return words("Do not use your name, your address or ours as the password.")
    found = strength(text, *known)
    if found.score < GUESSED_QUICKLY:
        return words("This password can be guessed quickly. %(advice)s", advice=sentences(*found.advice))
    return None


def strength(password: str, *known: str) -> Strength:
    """How many guesses the password would take, in five steps, and what would make it stronger (zxcvbn)."""
    # the library keeps the person's own words in a table of its own: one at a time, and gone afterwards
    with _one_at_a_time:
        try:
            found = zxcvbn(unicodedata.normalize("NFC", password)[:JUDGED], [*known, *_PRODUCT_WORDS])
        finally:
            RANKED_DICTIONARIES["user_inputs"] = {}
    advice = (found["feedback"]["warning"], *found["feedback"]["suggestions"])
    return Strength(found["score"], tuple(as_words(text) for text in advice if text))


def make_verifier(pepper: bytes, password: str, cost: int) -> bytes:
    """What is stored: a version tag and a bcrypt hash."""
    return VERSION + bcrypt.hashpw(_prehash(pepper, password), bcrypt.gensalt(cost))


def matches(pepper: bytes, password: str, verifier: bytes) -> bool:
    """Whether the password is the one that `verifier` was made of; constant-time."""
    return bcrypt.checkpw(_prehash(pepper, password), verifier.removeprefix(VERSION))


def cost_of(verifier: bytes) -> int:
    """The work factor of a stored verifier."""
    return int(verifier.removeprefix(VERSION).split(b"$")[2])


def calibrate(target_ms: int, ticks: Callable[[], float] = monotonic) -> int:
    """The largest work factor that stays within the target on this machine; never under 12."""
    # the quickest of three: other work on the machine only ever makes it slower
    milliseconds = max(min(_time_once(ticks) for _ in range(3)) * 1000, 0.1)
    cost = 10
    while cost < 18 and milliseconds * 2 <= target_ms:
        milliseconds *= 2
        cost += 1
    return max(cost, MINIMUM_COST)


def waste(cost: int, wanted: int) -> None:
    """The work by which a check at `cost` is cheaper than one at `wanted`: 2^wanted - 2^cost = 2^cost + ... ."""
    for step in range(max(cost, 4), wanted):
        bcrypt.hashpw(b"wasted", b"$2b$%02d$abcdefghijklmnopqrstuu" % step)


def _time_once(ticks: Callable[[], float]) -> float:
    started = ticks()
    bcrypt.hashpw(b"calibration", b"$2b$10$abcdefghijklmnopqrstuu")
    return ticks() - started


def _prehash(pepper: bytes, password: str) -> bytes:
    return base64.b64encode(hmac.digest(pepper, normalise(password), "sha384"))


def _unit(text: str) -> str:
    """The shortest text that this one repeats: "password" of "passwordpassword"."""
    return text[: (text + text).find(text, 1)]


@cache
def _common() -> frozenset[str]:
    return frozenset(FREQUENCY_LISTS["passwords"])
