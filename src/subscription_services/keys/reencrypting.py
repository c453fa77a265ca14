"""The job of a re-encryption: step by step, each resumable, until it is done or must wait."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import Conflict
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.transaction import ReadTransaction

from .operations.reencryption import MOST, Continue, Position, Replacement, Step, found, position, starts_at, step
from .places import Place, places, seal_anew
from .sealing import CallerKeys
from .tables import Phase

RUN = timedelta(seconds=20)
"""How long one run of the job goes on before it lets others have their turn."""
NAMES = 200


async def reencrypt_on(kernel: Kernel, payload: Continue) -> None:
    """Two workers that took the same one do no harm: the slower one stops."""
    began = kernel.clock()
    while True:
        row = await kernel.store.read(lambda connection: found(ReadTransaction(connection, _keys(kernel)), payload.id))
        at = position(row)
        if at.phase is Phase.DONE or starts_at(row, at, kernel.clock()) > kernel.clock():
            return
        done = await asyncio.get_running_loop().run_in_executor(kernel.pools["prepare"], _next, kernel, row, at)
        waits = starts_at(row, done.to, kernel.clock()) > kernel.clock() or kernel.clock() - began > RUN
        pause = waits and done.to.phase is not Phase.DONE
        try:
            request = Step(
                done.id, done.at, done.to, done.replaced, done.renewed, done.unreadable, done.closed, pause
            )  # fmt: skip
            await perform(kernel, step, System("keys.reencryption"), request)
        except Conflict:
            return
        if pause:
            return


def _keys(kernel: Kernel, caller: str = "keys") -> CallerKeys:
    keys: Any = kernel.keys.for_caller(caller)
    assert isinstance(keys, CallerKeys)
    return keys


def _next(kernel: Kernel, row: Row[Any], at: Position) -> Step:
    if at.phase is Phase.RENEWING:
        names = _names(kernel, row, at)
        if names:
            renewed = _keys(kernel).renew(row.id, names)
            return Step(row.id, at, Position(at.phase, 0, "", names[-1]), renewed=renewed)
        return Step(row.id, at, Position(Phase.SEALING, 1, places(row.purpose)[0].name))
    if at.phase is Phase.SEALING:
        return _seal(kernel, row, at)
    names = _names(kernel, row, at)
    if names:
        closed = _keys(kernel).close_versions(row.id, names)
        return Step(row.id, at, Position(at.phase, 0, "", names[-1]), closed=closed)
    return Step(row.id, at, Position(Phase.DONE))


def _names(kernel: Kernel, row: Row[Any], at: Position) -> list[str]:
    if row.subject:
        return [] if at.after else [row.subject]
    return [key.name for key in _keys(kernel).data_keys(row.purpose, at.after, NAMES)]


def _seal(kernel: Kernel, row: Row[Any], at: Position) -> Step:
    walked = places(row.purpose)
    names = [place.name for place in walked]
    place = walked[names.index(at.place)]
    with kernel.store.reading() as connection:
        cells, last = place.read(connection, row.subject, at.after, MOST)
    anew, unreadable = seal_anew(_keys(kernel, place.caller), cells)
    replaced = [Replacement(cell.row, cell.column, cell.stored, content) for cell, content in anew]
    to = Position(at.phase, at.turn, at.place, last) if last else _following(walked, names.index(at.place), at)
    # what does not open is told once, not by each walk
    return Step(row.id, at, to, replaced, unreadable=unreadable if at.turn == 1 else 0)


def _following(walked: list[Place], index: int, at: Position) -> Position:
    if index + 1 < len(walked):
        return Position(at.phase, at.turn, walked[index + 1].name)
    if at.turn == 1:
        return Position(at.phase, 2, walked[0].name)
    return Position(Phase.CLOSING)
