"""Every promise of the security page: its id, its sentence, its section and the room that keeps it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "promises.toml"


@dataclass(frozen=True, slots=True)
class Promise:
    """`id` is stable for ever; `room` owns the code that keeps it."""

    id: str
    sentence: str
    section: str
    room: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the page, the room of the house that it is the plan of, and its promises."""

    heading: str
    room: str
    anchor: str
    intro: str
    promises: tuple[Promise, ...]


def read(text: str) -> tuple[Section, ...]:
    """The sections in the order of the page. Raises ValueError for an id that stands twice."""
    sections = tuple(_section(table) for table in tomllib.loads(text)["section"])
    ids = [promise.id for section in sections for promise in section.promises]
    if len(ids) != len(set(ids)):
        raise ValueError("a promise stands twice on the page")
    return sections


def _section(table: dict[str, Any]) -> Section:
    heading, room = table["heading"], table["room"]
    promises = tuple(Promise(row["id"], row["sentence"], heading, row.get("room", room)) for row in table["promise"])
    return Section(heading, room, table["anchor"], table["intro"], promises)


SECTIONS = read(FILE.read_text("utf-8"))
PROMISES: dict[str, Promise] = {promise.id: promise for section in SECTIONS for promise in section.promises}
