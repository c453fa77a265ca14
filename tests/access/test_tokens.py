"""The text of tokens: recognisable, checkable offline, random."""

from __future__ import annotations

import functools
import hashlib
import re
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.access import tokens
from subscription_services.kernel import tokens as form
from subscription_services.kernel.clock import system_random

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_a_token_looks_as_documented() -> None:
    text = tokens.new_token(system_random)
    assert re.fullmatch(r"subs_sa_[0-9A-Za-z]{49}", text)
    assert tokens.well_formed(text)


def test_the_documented_pattern_finds_what_is_made_and_nothing_cut_or_long() -> None:
    document = (Path(__file__).parents[2] / "docs" / "api-tokens.md").read_text()
    pattern = re.findall(r"```regex\n(.+)\n```", document)
    assert pattern == [form.PATTERN]
    for prefix in (form.SERVICE_ACCOUNT, form.PROGRAM_SESSION):
        for value in (bytes(32), b"\xff" * 32, system_random(32)):
            text = form.new_token(functools.partial(_given, value), prefix)
            assert re.findall(pattern[0], f'key = "{text}"') == [text]
            assert not re.search(pattern[0], text[:-1])
    assert f"`{form.SERVICE_ACCOUNT}`" in document
    assert f"`{form.PROGRAM_SESSION}`" in document


def _given(value: bytes, count: int) -> bytes:
    return value[:count]


def test_the_kind_is_part_of_what_the_checksum_covers() -> None:
    text = form.new_token(system_random, form.SERVICE_ACCOUNT)
    assert not form.well_formed(text.replace("_sa_", "_ps_"), form.PROGRAM_SESSION)


@given(st.binary(min_size=32, max_size=32))
def test_every_random_value_has_its_own_text_and_a_checksum_that_others_can_compute(value: bytes) -> None:
    text = tokens.new_token(lambda count: value[:count])
    body, check = text[8:51], text[51:]
    number = 0
    for digit in body:
        number = number * 62 + DIGITS.index(digit)
    assert number.to_bytes(32, "big") == value
    expected, crc = "", zlib.crc32(b"subs_sa_" + body.encode())
    for _ in range(6):
        crc, rest = divmod(crc, 62)
        expected = DIGITS[rest] + expected
    assert check == expected


@given(st.binary(min_size=32, max_size=32), st.integers(8, 56), st.sampled_from(DIGITS))
def test_a_mistyped_character_is_found_without_the_store(value: bytes, place: int, digit: str) -> None:
    text = tokens.new_token(lambda count: value[:count])
    wrong = text[:place] + digit + text[place + 1 :]
    assert tokens.well_formed(wrong) is (wrong == text)


@pytest.mark.parametrize(
    "text", ["", "subs_sa_", "subs_sa_" + "0" * 48, "subs_sa_" + "0" * 50, "subs_sa_" + "é" * 49, "x" * 57]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    assert not tokens.well_formed(text)


def test_only_the_digest_is_kept() -> None:
    text = tokens.new_token(system_random)
    assert tokens.digest(text) == hashlib.sha256(text.encode()).digest()
