"""Refuses card numbers in whatever is asked of the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from .card_numbers import contains_card_number
from .errors import CardNumberRefused


def refuse_card_numbers(request: msgspec.Struct) -> None:
    """Raises CardNumberRefused, naming the fields, where a text of the request holds a full card number."""
    found = {
        name: CardNumberRefused.message
        for name, value in msgspec.structs.asdict(request).items()
        if any(contains_card_number(text) for text in _texts(value))
    }
    if found:
        raise CardNumberRefused(fields=found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, msgspec.Struct):
        yield from _texts(msgspec.structs.asdict(value))
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _texts(name)
            yield from _texts(part)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _texts(part)
