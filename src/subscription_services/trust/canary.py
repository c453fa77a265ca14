"""The canary hunt: a marker is typed into the service, then every file and every row is searched for it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from sqlalchemy import select

from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.kernel.model import metadata
from subscription_services.kernel.ports import ReadStore
from subscription_services.kernel.settings import HouseSettings, Settings
from subscription_services.keys import KeySettings

from .transport import outside

CHUNK = 1 << 20
LARGEST = 4 << 30
"""Bytes of files beyond which one run would take too long."""
ROWS = 2000
"""Newest rows of each table that are searched."""
SQLITE_HEADER = b"SQLite format 3\x00"
PLACE = "/sign-in"
KEY_BACKUPS = "keys-*.db"
TAKEN = frozenset({200, 303, 401, 404, 409, 422})
"""Answers of the form itself, as is one that shows again what was typed; others come from the layers before it."""

Typist = Callable[[Doors, str], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search of files saw; `found` names files by place and encoding, `plain` are unencrypted SQLite files."""

    files: int
    size: int
    found: tuple[str, ...]
    plain: tuple[str, ...]
    copies: int = 0
    """How many of the files are backups of the keys."""

    def and_also(self, other: Searched) -> Searched:
        """What both searches saw."""
        return Searched(
            self.files + other.files, self.size + other.size, self.found + other.found, self.plain + other.plain,
            self.copies + other.copies,
        )  # fmt: skip


async def nothing_readable(doors: Doors, typist: Typist | None = None) -> Finding:
    """Type a marker, prove that the search would find one, then search. Files are read in a thread."""
    data = doors.settings.of(HouseSettings).data_path
    marker = f"canary{doors.kernel.random(12).hex()}"
    typed = await (typist or type_into_forms)(doors, marker)
    if not typed:
        return Finding(Verdict.COULD_NOT_CHECK, "No form of the service took the marker.")
    wanted = encodings(marker)
    control = data / f"{marker[:12]}.control"
    await asyncio.to_thread(control.write_bytes, b"x" * (CHUNK - 5) + marker.encode() + b"x")
    try:
        seen = await asyncio.to_thread(search_files, data, wanted)
        for place in places_elsewhere(doors.settings):
            seen = seen.and_also(await asyncio.to_thread(search_files, place, wanted))
    finally:
        control.unlink(missing_ok=True)
    rows, tables = await asyncio.to_thread(search_rows, doors.kernel.store, wanted)
    found = [name for name in seen.found if not name.startswith(control.name)]
    evidence: dict[str, str | int] = {
        "fields_typed_into": typed, "files_searched": seen.files, "bytes_searched": seen.size,
        "key_backups_searched": seen.copies,
        "newest_rows_searched": rows, "encodings_tried": len(wanted), "places_with_marker": len(found) + len(tables),
        "unencrypted_stores": len(seen.plain),
    }  # fmt: skip
    if len(found) == len(seen.found):
        return Finding(Verdict.COULD_NOT_CHECK, "The search did not find its own control file.", evidence)
    if found or tables:
        where = ", ".join([*found, *tables][:3])
        return Finding(Verdict.BROKEN, f"What was typed can be read in {where}.", evidence)
    if seen.plain:
        return Finding(Verdict.BROKEN, f"Not encrypted as a whole: {', '.join(seen.plain[:3])}.", evidence)
    says = "A marker that was typed in was in no stored file and no stored row, in any of the usual encodings."
    return Finding(Verdict.KEPT, says, evidence)


def encodings(marker: str) -> Mapping[bytes, str]:
    """The marker as it might stand somewhere: raw, UTF-16, hexadecimal, base64 at any offset, plain digests."""
    raw = marker.encode()
    forms = {
        raw: "raw",
        marker.upper().encode(): "upper case",
        raw[::-1]: "reversed",
        raw.hex().encode(): "hexadecimal",
    }
    forms |= {marker.encode("utf-16-le"): "UTF-16", marker.encode("utf-16-be"): "UTF-16"}
    for shift in range(3):
        # the characters at both ends depend on the neighbours, so they are left out
        forms[base64.b64encode(b"\x00" * shift + raw)[4:-4]] = "base64"
    for name in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(name, raw, usedforsecurity=False)
        forms |= {digest.digest(): f"plain {name}", digest.hexdigest().encode(): f"plain {name}"}
    return forms


def search_files(folder: Path, wanted: Mapping[bytes, str]) -> Searched:
    """Every regular file below `folder`. Raises OSError for one that cannot be read, ValueError for too much."""
    found, plain, files, size, copies = [], [], 0, 0, 0
    overlap = max(map(len, wanted)) - 1
    pattern = _pattern(wanted)
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        name = path.relative_to(folder).as_posix()
        files += 1
        copies += path.match(KEY_BACKUPS)
        first = True
        for block, new in _blocks(path, overlap):
            if first and block.startswith(SQLITE_HEADER):
                plain.append(name)
            first = False
            size += new
            if size > LARGEST:
                raise ValueError("more is stored than one run can search")
            if hit := pattern.search(block):
                found.append(f"{name} ({wanted[hit[0]]})")
                break
    return Searched(files, size, tuple(found), tuple(plain), copies)


def places_elsewhere(settings: Settings) -> list[Path]:
    """Where the service writes beside its data directory, as far as that is there."""
    place = Path(settings.of(KeySettings).backup_directory or ".").resolve()
    within = place.is_relative_to(settings.of(HouseSettings).data_path)
    return [place] if settings.of(KeySettings).backup_directory and place.is_dir() and not within else []


def search_rows(store: ReadStore, wanted: Mapping[bytes, str]) -> tuple[int, tuple[str, ...]]:
    """The newest rows of every table as an operator of the database would see them."""
    rows, found = 0, []
    pattern = _pattern(wanted)
    with store.reading() as connection:
        for table in metadata.sorted_tables:
            keys = [column.desc() for column in table.primary_key.columns]
            for row in connection.execute(select(*(column for column in table.columns)).order_by(*keys).limit(ROWS)):
                rows += 1
                text = b"\x00".join(item if isinstance(item, bytes) else str(item).encode() for item in row)
                if hit := pattern.search(text):
                    found.append(f"the table {table.name} ({wanted[hit[0]]})")
                    break
    return rows, tuple(found)


async def type_into_forms(doors: Doors, marker: str) -> int:
    """Type the marker into every text field of the sign-in form, and send it as the browser's name as well.

    The addresses end in .invalid (RFC 2606), so no letter can reach anybody. Returns how many fields took it.
    """
    typed = 0
    async with outside(doors, headers={"User-Agent": marker, "Origin": doors.https_url}) as client:
        page = await client.get(doors.https_url + PLACE)
        form = _Form()
        form.feed(page.text)
        fields = {name: _value(kind, value, marker) for name, kind, value in form.fields}
        if page.status_code != 200 or not any(marker in value for value in fields.values()):
            return 0
        answer = await client.post(doors.https_url + (form.action or PLACE), data=fields)
        if answer.status_code in TAKEN or marker in answer.text:
            typed += sum(marker in value for value in fields.values())
    return typed


def _value(kind: str, value: str, marker: str) -> str:
    if kind in ("hidden", "checkbox", "radio", "submit"):
        return value
    return f"{marker}@canary.invalid" if kind == "email" else f"{marker} typed here"


def _blocks(path: Path, overlap: int) -> Iterator[tuple[bytes, int]]:
    """Blocks of a file that overlap, with how much of each is new."""
    tail = b""
    with path.open("rb") as file:
        while new := file.read(CHUNK):
            yield tail + new, len(new)
            tail = (tail + new)[-overlap:]


def _pattern(wanted: Mapping[bytes, str]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(re.escape(form) for form in wanted))


class _Form(HTMLParser):
    """The first posted form with a text field: where it goes, and name, type and value of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: list[tuple[str, str, str]] = []
        self._inside = False
        self._done = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and not self._done:
            self._inside, self.action, self.fields = given.get("method") == "post", given.get("action", ""), []
        elif tag == "input" and self._inside and given.get("name"):
            self.fields.append((given["name"], given.get("type", "text"), given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._done = self._done or any(kind in ("text", "email", "password") for _, kind, _ in self.fields)
            self._inside = False
