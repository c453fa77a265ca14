"""Which release may run here: a digest of the program's own files, and the signed permit that names it.

The statement is a C2SP signed note (the log's checkpoints are such notes as well): five lines and an Ed25519 signature
of a key that never leaves the key service. A row that was written with the database alone has none; one that was ended
and put back is found by its end in the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, Row, inspect, select

from subscription_services.kernel.errors import DomainError, StartError
from subscription_services.kernel.personal import NotPersonal
from subscription_services.kernel.ports import Keys
from subscription_services.ledger import queries as ledger
from subscription_services.ledger.note import Ed25519Signer, Ed25519Verifier, open_note, sign_note, verifier_key

from . import model
from .deployment_model import permit

PACKAGE = __name__.partition(".")[0]
PURPOSE = "access.deployments"
END = "access.end_deployment"
_LEFT_OUT = (".pyc", ".pyo")


class Deployment(msgspec.Struct, frozen=True):
    """A release that may run in the environment, until `ended_at`. `note` is the signed statement."""

    id: str
    digest: str
    version: str
    environment: str
    permitted_by: str
    permitted_at: datetime
    note: Annotated[str, NotPersonal("a signed note about a release (C2SP signed-note)")]
    ended_at: datetime | None = None
    ended_by: str | None = None


class Deployments(msgspec.Struct, frozen=True):
    """The newest first. `running` is the digest of what answers this."""

    permits: list[Deployment]
    running: str
    environment: str = ""


def digest_of(files: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 over lines as `sha256sum` writes them, sorted by path; compiled files are left out, since each machine
    makes its own."""
    lines = sorted(
        f"{hashlib.sha256(content).hexdigest()}  {path}\n"
        for path, content in files
        if not path.endswith(_LEFT_OUT) and "__pycache__" not in path
    )
    return hashlib.sha256("".join(sorted(lines, key=lambda line: line.partition("  ")[2])).encode()).hexdigest()


def installed_digest() -> str:
    """Of the files that this process runs from."""
    root = Path(__file__).parents[1]
    return digest_of(_below(root))


def _below(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in root.rglob("*"):
        if path.is_file() and path.suffix not in _LEFT_OUT:
            yield f"{PACKAGE}/{path.relative_to(root).as_posix()}", path.read_bytes()


def statement(identifier: str, digest: str, version: str, environment: str, by: str, at: datetime) -> str:
    """The text that is signed."""
    lines = (f"{environment}/deployments", f"sha256:{digest}", f"version {version}", f"permit {identifier}",
             f"by {by} at {at.isoformat()}")  # fmt: skip
    return "".join(f"{line}\n" for line in lines)


def signed(keys: Keys, environment: str, text: str) -> str:
    """The note of this text."""
    try:
        keys.public_key(PURPOSE)
    except DomainError as error:
        if error.code != "no-such-key":
            raise
        keys.sign(PURPOSE, b"first use")  # which makes the key; this can never pass for a statement
    signer = Ed25519Signer(_verifier(keys, environment), lambda message: keys.sign(PURPOSE, message))
    return sign_note(text, [signer]).decode()


def public_key_text(keys: Keys, environment: str) -> str:
    """The key that signs permits, as a verifier key of signed notes."""
    return verifier_key(_verifier(keys, environment))


def good_permit(connection: Connection, keys: Keys, environment: str, digest: str) -> Deployment | None:
    """The permit under which this release may run here."""
    wanted = select(permit).where(
        permit.c.digest == digest, permit.c.environment == environment, permit.c.ended_at.is_(None)
    )
    for row in connection.execute(wanted).all():
        ended = ledger.search(connection, ledger.Search(action=END, object=row.id, outcome="success"), limit=1).found
        if is_signed(keys, row) and not ended:
            return deployment_of(row)
    return None


def is_signed(keys: Keys, row: Row[Any]) -> bool:
    """Whether the key service signed exactly what the row says."""
    try:
        note = open_note(row.note.encode(), [_verifier(keys, row.environment)])
    except DomainError:
        return False
    text = statement(row.id, row.digest, row.version, row.environment, row.permitted_by, row.permitted_at)
    return note.text == text


def check_may_start(connection: Connection, keys: Keys, environment: str) -> None:
    """Raises StartError unless two people permitted the release that runs this."""
    if not _ever_bootstrapped(connection):
        return
    digest = installed_digest()
    table = inspect(connection).has_table(permit.name)
    if not table or good_permit(connection, keys, environment, digest) is None:
        raise StartError(
            f"Nobody permitted this release here (files {digest}, environment {environment}). Have two people permit "
            "it in the release that runs now: /team/deployments, or subs deployments permit. To start without: "
            "SUBS_ACCESS_DEPLOYMENTS=any, which the log then shows."
        )


def _ever_bootstrapped(connection: Connection) -> bool:
    """Whether there are people who could permit anything; a row that was taken out does not make it the first start."""
    if not inspect(connection).has_table(model.bootstrap.name):
        return False
    if connection.execute(select(model.bootstrap.c.place)).first() is not None:
        return True
    wanted = ledger.Search(action="access.bootstrap", outcome="success")
    return bool(ledger.search(connection, wanted, limit=1).found)


def deployment_of(row: Row[Any]) -> Deployment:
    """The row of a permit."""
    return Deployment(
        row.id, row.digest, row.version, row.environment, row.permitted_by, row.permitted_at, row.note, row.ended_at,
        row.ended_by,
    )  # fmt: skip


def _verifier(keys: Keys, environment: str) -> Ed25519Verifier:
    return Ed25519Verifier(f"{environment}/deployments", keys.public_key(PURPOSE))
