"""The text of tokens: recognisable, checkable offline, random."""

from __future__ import annotations

import hashlib
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.access import tokens
from subscription_services.kernel.clock import system_random

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_a_token_looks_as_documented() -> None:
    text = tokens.new_token(system_random)
    assert re.fullmatch(r"subs_[0-9A-Za-z]{49}", text)
    assert re.fullmatch(tokens.PATTERN, text)
    assert tokens.well_formed(text)


@given(st.binary(min_size=32, max_size=32))
def test_every_random_value_has_its_own_text_and_a_checksum_that_others_can_compute(value: bytes) -> None:
    text = tokens.new_token(lambda count: value[:count])
    body, check = text[5:48], text[48:]
    number = 0
    for digit in body:
        number = number * 62 + DIGITS.index(digit)
    assert number.to_bytes(32, "big") == value
    expected, crc = "", zlib.crc32(body.encode())
    for _ in range(6):
        crc, rest = divmod(crc, 62)
        expected = DIGITS[rest] + expected
    assert check == expected


@given(st.binary(min_size=32, max_size=32), st.integers(5, 53), st.sampled_from(DIGITS))
def test_a_mistyped_character_is_found_without_the_store(value: bytes, place: int, digit: str) -> None:
    text = tokens.new_token(lambda count: value[:count])
    wrong = text[:place] + digit + text[place + 1 :]
    assert tokens.well_formed(wrong) is (wrong == text)


@pytest.mark.parametrize("text", ["", "subs_", "subs_" + "0" * 48, "subs_" + "0" * 50, "subs_" + "é" * 49, "x" * 54])
def test_what_is_no_token_is_refused(text: str) -> None:
    assert not tokens.well_formed(text)


def test_only_the_digest_is_kept() -> None:
    text = tokens.new_token(system_random)
    assert tokens.digest(text) == hashlib.sha256(text.encode()).digest()
