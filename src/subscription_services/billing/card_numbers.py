"""Finds full card numbers in text, so that none is ever kept (PCI DSS 4.0, requirement 3)."""

from __future__ import annotations

import re

SHORTEST, LONGEST = 13, 19
_ISSUERS = "23456"
# digits of any script, with at most two separators between them
_RUN = re.compile(r"\d(?:[\s.\-\u2010-\u2015/_,]{0,2}\d){12,}")
_GROUP = re.compile(r"\d+")
# our ids and digests: hexadecimal, longer than any card number
_HEXADECIMAL = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{24,}(?![0-9A-Za-z])")


def contains_card_number(text: str) -> bool:
    """Whether neighbouring groups of digits make 13 to 19 digits that an issuer could have given out (Luhn).

    A tenth of all other numbers of that length passes the check as well and is refused with them.
    """
    if sum(map(str.isdigit, text)) < SHORTEST:
        return False
    plain = _HEXADECIMAL.sub("x", text)
    return any(_holds_number(found.group()) for found in _RUN.finditer(plain))


def passes_luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _holds_number(run: str) -> bool:
    groups = ["".join(str(int(digit)) for digit in group) for group in _GROUP.findall(run)]
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > LONGEST:
                break
            if len(digits) >= SHORTEST and digits[0] in _ISSUERS and passes_luhn(digits):
                return True
    return False
