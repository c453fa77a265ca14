"""Search of what the service wrote for a password that was just typed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import Connection, select

from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.kernel.model import metadata
from subscription_services.kernel.settings import HouseSettings

from .probes import probe

CHUNK = 1 << 20
ROWS = 300
"""Newest rows of each table."""


async def nothing_written(doors: Doors) -> Finding:
    """Type a password that stands nowhere else, then look for it; the search first has to find a file of its own."""
    data = doors.settings.of(HouseSettings).data_path
    control = data / f"check-{doors.kernel.random(6).hex()}.control"
    # its date, by the file system's own clock, tells what was written later
    await asyncio.to_thread(control.write_bytes, b"begin")
    try:
        return await _type_and_search(doors, data, control)
    finally:
        control.unlink(missing_ok=True)


async def _type_and_search(doors: Doors, data: Path, control: Path) -> Finding:
    since = control.stat().st_mtime
    async with probe(doors, "plaintext") as someone:
        await someone.signed_in()
        await someone.sign_in(f"{someone.password} wrong")
        wanted = forms_of(someone.password)
    await asyncio.to_thread(control.write_bytes, b"x" * (CHUNK - 5) + wanted[0])
    files, found = await asyncio.to_thread(search_files, data, wanted, since)
    rows, tables = await doors.kernel.store.read(lambda connection: search_rows(connection, wanted))
    evidence: dict[str, str | int] = {"files_searched": files, "rows_searched": rows, "encodings": len(wanted)}
    places = [name for name in found if name != control.name] + tables
    if control.name not in found:
        return Finding(Verdict.COULD_NOT_CHECK, "The search did not find its own control file.", evidence)
    if places:
        return Finding(Verdict.BROKEN, f"A password that was typed stands readable in {places[0]}.", evidence)
    return Finding(Verdict.KEPT, "A password that was typed was in no file and no row.", evidence)


def forms_of(password: str) -> tuple[bytes, ...]:
    """As typed, in hexadecimal, in UTF-16, and in base64 at any offset."""
    raw = password.encode()
    shifted = (base64.b64encode(b"\x00" * shift + raw)[4:-4] for shift in range(3))
    return raw, raw.hex().encode(), password.encode("utf-16-le"), raw[::-1], *shifted


def search_files(folder: Path, wanted: Iterable[bytes], since: float) -> tuple[int, list[str]]:
    """How many files below `folder` were written since (seconds of the epoch), and those that hold one of `wanted`."""
    forms, count, found = tuple(wanted), 0, []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.stat().st_mtime < since:
            continue
        count += 1
        if any(form in block for block in _blocks(path, max(map(len, forms)) - 1) for form in forms):
            found.append(path.relative_to(folder).as_posix())
    return count, found


def search_rows(connection: Connection, wanted: Iterable[bytes]) -> tuple[int, list[str]]:
    """How many rows were looked at, and the tables and columns that hold one of `wanted`."""
    forms, count, found = tuple(wanted), 0, set()
    for table in metadata.sorted_tables:
        newest = select(table).order_by(*(column.desc() for column in table.primary_key)).limit(ROWS)
        for row in connection.execute(newest):
            count += 1
            for name, value in row._mapping.items():
                text = value if isinstance(value, bytes) else str(value).encode()
                if any(form in text for form in forms):
                    found.add(f"{table.name}.{name}")
    return count, sorted(found)


def _blocks(path: Path, overlap: int) -> Iterator[bytes]:
    tail = b""
    with path.open("rb") as file:
        while new := file.read(CHUNK):
            yield tail + new
            tail = (tail + new)[-overlap:]
