"""Asking witnesses to cosign our checkpoints: the client's side of C2SP tlog-witness.

A witness remembers the largest tree of ours that it saw and cosigns only what extends it. So whoever turns back the
store together with everything that we remember is contradicted by it; where its own copy of a checkpoint with our
signature proves that, the sequencer signs nothing more.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import structlog
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from subscription_services.kernel.clock import Clock
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.ports import Store, Writer

from . import model
from .checkpoint import Checkpoint, open_checkpoint
from .errors import InvalidSignature, LedgerError, RolledBack, WitnessFailed, WitnessMoved
from .note import parse_note, parse_signatures
from .queries import newest_checkpoint, prove_consistency
from .stored import Log, root_at, tree_size
from .trust_policy import TrustPolicy, Witness

SECONDS = 10.0
"""How long one request to a witness may take."""
TRIES = 4
FRESH = 300
"""Seconds that the clock of a witness may differ from ours."""
LARGEST_ANSWER = 64 * 1024
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")
_lines = structlog.get_logger("ledger")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A witness saw another or a longer log: `size` is what it remembers. `proved` by its copy that we signed."""

    witness: str
    size: int
    proved: bool

    def __str__(self) -> str:
        proof = "and shows our signature for it" if self.proved else "without showing our signature for it"
        return f"the witness {self.witness} remembers another history of {self.size} entries, {proof}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the witnesses said just now about the checkpoint `note`: signature lines by label of the witness."""

    note: bytes = b""
    size: int = 0
    cosigned: Mapping[str, bytes] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def opened_client() -> AsyncIterator[httpx.AsyncClient]:
    """A client that trusts the machine's certificate authorities and follows no redirect."""
    limits = httpx.Limits(max_keepalive_connections=8)
    async with httpx.AsyncClient(
        verify=ssl.create_default_context(), trust_env=False, timeout=SECONDS, limits=limits
    ) as client:
        yield client


async def ask_all(
    client: httpx.AsyncClient, store: Store, log: Log, policy: TrustPolicy, clock: Clock, skip: Iterable[str] = ()
) -> Asked:
    """Ask every witness with an address about the newest checkpoint, at once. Raises nothing for one that fails."""
    head = await store.read(lambda connection: _head(connection, log))
    if head is None:
        return Asked()
    left_out = set(skip)
    asked = [item for item in policy.witnesses if item.url and item.key.label not in left_out]
    results = await asyncio.gather(
        *(_ask(client, store, log, witness, head, clock) for witness in asked), return_exceptions=True
    )
    cosigned: dict[str, bytes] = {}
    contradictions: list[Contradiction] = []
    problems: dict[str, str] = {}
    for witness, result in zip(asked, results, strict=True):
        match result:
            case bytes():
                cosigned[witness.key.label] = result
            case Contradiction():
                contradictions.append(result)
            case WitnessFailed() | httpx.HTTPError() | InvalidSignature():
                problems[witness.key.label] = f"{type(result).__name__}: {result}"
            case BaseException():
                raise result
    return Asked(head.note, head.checkpoint.size, cosigned, tuple(contradictions), problems)


async def confirm(store: Store, log: Log, policy: TrustPolicy, clock: Clock) -> Asked:
    """Ask all witnesses afresh, for verification: nothing is written, and what was stored before counts nothing."""
    if not policy.witnesses:
        return Asked()
    async with opened_client() as client:
        for _ in range(TRIES):
            asked = await ask_all(client, store, log, policy, clock)
            if not any(problem.startswith(WitnessMoved.__name__) for problem in asked.problems.values()):
                break
    return asked


@dataclass(slots=True)
class Witnessing:
    """Keeps the newest checkpoint witnessed. `refusal` is set while a witness proves that the store was turned back."""

    store: Store
    log: Log
    policy: TrustPolicy
    clock: Clock
    interval: float = 5.0
    refusal: RolledBack | None = None
    began: bool = False

    async def round(self, client: httpx.AsyncClient) -> Asked:
        """Ask whoever has not cosigned the newest checkpoint yet, and keep what they sign.

        The first time everybody is asked: a store that was turned back has the cosignatures of that day.
        """
        have = await self.store.read(_cosigned_newest) if self.began and self.refusal is None else []
        asked = await ask_all(client, self.store, self.log, self.policy, self.clock, have)
        if asked.cosigned:
            await self.store.write(Writer.SEQUENCER, lambda connection: self._keep(connection, asked))
        for contradiction in asked.contradictions:
            _lines.critical("ledger.contradicted", witness=contradiction.witness, size=contradiction.size)
        for witness, problem in asked.problems.items():
            _lines.warning("ledger.witness_failed", witness=witness, error=problem)
        self.began = self.began or bool(asked.note)
        proved = [item for item in asked.contradictions if item.proved]
        self.refusal = RolledBack(str(proved[0])) if proved else None
        return asked

    async def run(self, stop: asyncio.Event, first: asyncio.Event) -> None:
        """A round every `interval` seconds until `stop` is set; `first` is set after the first. Nothing ends it."""
        async with opened_client() as client:
            while not stop.is_set():
                try:
                    await self.round(client)
                except (DomainError, SQLAlchemyError, OSError) as error:
                    _lines.error("ledger.witnessing_failed", error=str(error))
                first.set()
                try:
                    await asyncio.wait_for(stop.wait(), self.interval)
                except TimeoutError:
                    continue

    def _keep(self, connection: Connection, asked: Asked) -> None:
        columns = model.cosignature.c
        there = set(connection.execute(select(columns.witness).where(columns.size == asked.size)).scalars())
        rows = [
            {"size": asked.size, "witness": label, "line": line, "at": self.clock()}
            for label, line in asked.cosigned.items()
            if label not in there
        ]
        if rows:
            connection.execute(insert(model.cosignature), rows)
        if self.policy.satisfied(there | set(asked.cosigned)):
            # what a newer quorum replaces; a witness that fell behind keeps its last one
            for last in connection.execute(_LAST).all():
                older = (columns.witness == last.witness) & (columns.size < last.size)
                connection.execute(delete(model.cosignature).where(older))


_LAST = select(model.cosignature.c.witness, func.max(model.cosignature.c.size).label("size")).group_by(
    model.cosignature.c.witness
)


@dataclass(frozen=True, slots=True)
class _Head:
    note: bytes
    checkpoint: Checkpoint
    known: Mapping[str, int]


def _head(connection: Connection, log: Log) -> _Head | None:
    row = newest_checkpoint(connection)
    if row is None:
        return None
    checkpoint, _ = open_checkpoint(row.note, log.origin, log.verifiers())
    return _Head(row.note, checkpoint, {item.witness: item.size for item in connection.execute(_LAST)})


def _cosigned_newest(connection: Connection) -> list[str]:
    newest = select(func.max(model.checkpoint.c.size)).scalar_subquery()
    return list(
        connection.execute(select(model.cosignature.c.witness).where(model.cosignature.c.size == newest)).scalars()
    )


async def _ask(
    client: httpx.AsyncClient, store: Store, log: Log, witness: Witness, head: _Head, clock: Clock
) -> bytes | Contradiction:
    """Its signature line for the newest checkpoint, which may become a newer one meanwhile."""
    old = min(head.known.get(witness.key.label, 0), head.checkpoint.size)
    for _ in range(TRIES):
        status, answer = await _post(client, store, witness, head, old)
        if status == 200:
            return _cosignature(witness, head, answer, int(clock().timestamp()))
        if status == 422:
            return await _contradiction(client, store, log, witness, old)
        if status != 409:
            raise WitnessFailed(f"it answered {status}")
        match = _SIZE.fullmatch(answer)
        if match is None:
            raise WitnessFailed("its 409 names no size")
        if int(match[1]) == old:
            raise WitnessFailed("its 409 names the size that was sent")
        old = int(match[1])
        if old > head.checkpoint.size:
            newest = await store.read(newest_checkpoint)
            if newest is not None and newest.size >= old:
                raise WitnessMoved("it was asked about a newer checkpoint meanwhile")
            return await _contradiction(client, store, log, witness, old)
    raise WitnessFailed("its size changes with every request")


async def _post(client: httpx.AsyncClient, store: Store, witness: Witness, head: _Head, old: int) -> tuple[int, bytes]:
    size = head.checkpoint.size
    proof: tuple[bytes, ...] = ()
    if 0 < old < size:
        proof = await store.read(lambda connection: prove_consistency(connection, old, size))
    hashes = b"".join(base64.b64encode(item) + b"\n" for item in proof)
    body = b"old %d\n%b\n%b" % (old, hashes, head.note)
    return await _send(client, client.build_request("POST", f"{witness.url}/add-checkpoint", content=body))


async def _send(client: httpx.AsyncClient, request: httpx.Request) -> tuple[int, bytes]:
    answer = await client.send(request, stream=True)
    try:
        body = b""
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > LARGEST_ANSWER:
                raise WitnessFailed("its answer is too long")
        return answer.status_code, body
    finally:
        await answer.aclose()


def _cosignature(witness: Witness, head: _Head, answer: bytes, now: int) -> bytes:
    key = witness.key
    text, _ = parse_note(head.note)
    try:
        signatures = parse_signatures(answer)
    except LedgerError as error:
        raise WitnessFailed(f"its answer is no signature: {error}") from error
    for signature in signatures:
        if (signature.name, signature.key_id) == (key.name, key.key_id):
            at = key.time_of(text, signature.signature)
            if abs(at - now) > FRESH:
                raise WitnessFailed(f"its cosignature is of another time than now ({at})")
            return signature.line().encode()
    raise WitnessFailed("it did not sign with the key of the policy")


async def _contradiction(
    client: httpx.AsyncClient, store: Store, log: Log, witness: Witness, claimed: int
) -> Contradiction:
    """What the witness shows for its claim: its copy of the checkpoint, which carries our signature if it is true."""
    label = witness.key.label
    place = f"{witness.url}/{hashlib.sha256(log.origin.encode()).hexdigest()}/checkpoint"
    try:
        status, note = await _send(client, client.build_request("GET", place))
        if status != 200:
            return Contradiction(label, claimed, False)
        shown, _ = open_checkpoint(note, log.origin, log.verifiers())
    except (httpx.HTTPError, LedgerError):
        return Contradiction(label, claimed, False)
    if await store.read(lambda connection: _holds(connection, shown)):
        return Contradiction(label, claimed, False)
    return Contradiction(label, shown.size, True)


def _holds(connection: Connection, shown: Checkpoint) -> bool:
    """Whether the stored tree begins with the one shown."""
    size = tree_size(connection)
    return shown.size <= size and root_at(connection, shown.size, size) == shown.root
