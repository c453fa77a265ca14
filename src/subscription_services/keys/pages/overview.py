"""The team's view of the keys: versions, ages, use, callers, rotation under way, backups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from starlette.responses import Response

from subscription_services.kernel.actors import TeamMember
from subscription_services.kernel.errors import NotFound, Refusal
from subscription_services.kernel.words import as_words, counted, joined, words
from subscription_services.keys.operations import backup, rotation
from subscription_services.keys.operations.backup import BackupList
from subscription_services.keys.states import CallerUse, KekVersion, KeyStates, PurposeState, Rewrapping
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

PAGE = "/team/keys"
PURPOSES = f"{PAGE}/purposes"
LATE = timedelta(minutes=30)
ROTATED = notices.declare("keys-rotated", "success", "The key has a new version; new data keys use it already.")
BACKED_UP = notices.declare("keys-backed-up", "success", "The keys are backed up; the copy was read back.")
NOT_BACKED_UP = notices.declare(
    "keys-not-backed-up",
    "danger",
    "No backup was made. Is there room, and may the service write there? The others stay.",
)


@dataclass(frozen=True, slots=True)
class PurposeRow:
    """A purpose as the page shows it; `moving` is a sentence while data keys are on their way."""

    purpose: str
    versions: tuple[KekVersion, ...]
    newest: KekVersion
    data_keys: int
    older: int
    rotation_due: datetime | None
    rewrapping: Rewrapping | None
    moving: str


@dataclass(frozen=True, slots=True)
class CallerRow:
    """Everything that one caller did; `uses` are terms and values."""

    name: str
    count: int
    refused: int
    last_at: datetime
    uses: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Warning:
    title: str
    text: str


async def show_keys(call: Call) -> Response:
    """Purposes, callers and backups."""
    found: KeyStates = await call.perform(rotation.states, rotation.ReadStates())
    copies: BackupList | None = None
    if may(call, backup.backups):
        copies = await call.perform(backup.backups, backup.ListBackups())
    rows = [purpose_row(purpose) for purpose in found.purposes if purpose.versions]
    return call.render(
        "keys/keys.html", rows=rows, moving=[row for row in rows if row.moving], rule=found.rule, root=found.root,
        callers=caller_rows(found.callers), backups=copies, now=call.now, waiting=found.journal.waiting,
        data_keys=count(sum(row.data_keys for row in rows)), warnings=warnings(found, copies, call.now),
        next_due=min((row.rotation_due for row in rows if row.rotation_due), default=None),
        may_back_up=may(call, backup.back_up),
        count=count, share=share, size=size,
    )  # fmt: skip


async def show_purpose(call: Call) -> Response:
    """The versions of one purpose, how far its data keys are, and who uses them."""
    return await _purpose(call, call.path("purpose"), FormState())


async def show_progress(call: Call) -> Response:
    """How far the data keys of one purpose are, for the page's own script."""
    found: KeyStates = await call.perform(rotation.states, rotation.ReadStates())
    row = _row(found, call.path("purpose"))
    state: dict[str, str | int] = {"next": f"{PURPOSES}/{row.purpose}"}
    if row.moving and row.rewrapping:
        whole = row.rewrapping.moved + row.rewrapping.left
        state = {"message": call.said(row.moving), "value": row.rewrapping.moved, "max": whole}
    body = msgspec.json.encode(state)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


async def rotate_key(call: Call) -> Response:
    """Give a purpose a new version of its key; its page then shows how the data keys follow."""
    purpose = (await call.fields()).get("purpose", "")
    done = await call.submit(rotation.rotate)
    if done.form is None:
        return call.go(f"{PURPOSES}/{purpose}", ROTATED)
    if isinstance(done.error, Refusal):
        raise done.error
    return await _purpose(call, purpose, done.form, done.status)


async def back_up_now(call: Call) -> Response:
    done = await call.submit(backup.back_up)
    if isinstance(done.error, Refusal):
        raise done.error
    return call.go(PAGE, NOT_BACKED_UP if done.form else BACKED_UP)


def key_routes() -> tuple[Route, ...]:
    return (
        get(PAGE, show_keys, rotation.states),
        get(f"{PURPOSES}/{{purpose}}", show_purpose, rotation.states),
        get(f"{PURPOSES}/{{purpose}}/progress", show_progress, rotation.states),
        post(f"{PAGE}/rotate", rotate_key, rotation.rotate),
        post(f"{PAGE}/backup", back_up_now, backup.back_up),
    )


async def _purpose(call: Call, purpose: str, form: FormState, status: int = 200) -> Response:
    found: KeyStates = await call.perform(rotation.states, rotation.ReadStates())
    row = _row(found, purpose)
    callers = sorted((use for use in found.callers if use.purpose == purpose), key=lambda use: (use.caller, use.verb))
    return call.render(
        "keys/purpose.html", status, row=row, callers=callers, form=form, now=call.now, count=count, share=share,
        may_rotate=may(call, rotation.rotate),
    )  # fmt: skip


def _row(found: KeyStates, purpose: str) -> PurposeRow:
    for item in found.purposes:
        if item.purpose == purpose and item.versions:
            return purpose_row(item)
    raise NotFound("There is no key of that purpose.")


def purpose_row(found: PurposeState) -> PurposeRow:
    """A purpose with its sums."""
    newest = found.versions[0]
    total = sum(version.data_keys for version in found.versions)
    moving = ""
    if found.rewrapping and found.rewrapping.finished_at is None:
        whole = found.rewrapping.moved + found.rewrapping.left
        moving = words(
            "Wrapping data keys of %(purpose)s under version %(version)s: %(moved)s of %(whole)s",
            purpose=found.purpose, version=found.rewrapping.version, moved=count(found.rewrapping.moved),
            whole=count(whole),
        )  # fmt: skip
    return PurposeRow(
        found.purpose, found.versions, newest, total, total - newest.data_keys, found.rotation_due, found.rewrapping,
        moving,
    )  # fmt: skip


def caller_rows(found: Iterable[CallerUse]) -> list[CallerRow]:
    """One row for each caller, whoever was refused first, then by name."""
    by_caller: dict[str, list[CallerUse]] = {}
    for use in found:
        by_caller.setdefault(use.caller, []).append(use)
    rows = [
        CallerRow(
            name, sum(use.count for use in uses), sum(use.refused for use in uses), max(use.last_at for use in uses),
            [(_what(use), _how_often(use)) for use in sorted(uses, key=lambda use: (-use.refused, _what(use)))],
        )
        for name, uses in by_caller.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row.refused == 0, row.name))


def warnings(found: KeyStates, copies: BackupList | None, now: datetime) -> list[Warning]:
    """What somebody should look at."""
    said = []
    if found.journal.oldest_at and now - found.journal.oldest_at > LATE:
        text = words(
            "%(number)s accesses to keys wait to come into the log. Are the workers running?",
            number=count(found.journal.waiting),
        )
        said.append(Warning(words("The journal of key accesses is not taken up"), text))
    late = [
        item.purpose for item in found.purposes if item.rotation_due and now - item.rotation_due > timedelta(days=1)
    ]
    if late:
        said.append(
            Warning(
                words("A rotation is overdue"), words("The schedule did not rotate %(keys)s.", keys=", ".join(late))
            )
        )
    if copies and now - copies.due_at > LATE:
        text = words("The last one is too old. Is there room where backups go, and are the workers running?")
        said.append(Warning(words("A backup of the keys is overdue"), text))
    return said


def count(number: int) -> str:
    """ "12,345"."""
    return f"{number:,}"


def share(version: KekVersion) -> str:
    """How much of the bound of a key is used: "0.02 %", and never rounded down to nothing."""
    percent = 100 * version.uses / version.bound
    return "0 %" if not version.uses else "< 0.01 %" if percent < 0.01 else f"{percent:.2f} %"


def size(number: int) -> str:
    """Bytes in KiB or MiB."""
    return f"{number / 1024:,.0f} KiB" if number < 2**20 else f"{number / 2**20:,.1f} MiB"


def _what(use: CallerUse) -> str:
    verb, kind, purpose = as_words(use.verb.value.capitalize()), use.kind.value if use.kind else "", use.purpose
    if not kind:
        service = words("%(verb)s, key service", verb=verb)
        return words("%(what)s %(purpose)s", what=service, purpose=purpose) if purpose else service
    if not purpose:
        return words("%(verb)s, %(kind)s key", verb=verb, kind=kind)
    return words("%(verb)s, %(kind)s key %(purpose)s", verb=verb, kind=kind, purpose=purpose)


def _how_often(use: CallerUse) -> str:
    times = counted("once", "%(number)s times", use.count, number=count(use.count))
    return joined(times, words("%(number)s refused", number=count(use.refused)) if use.refused else "")


def may(call: Call, operation: object) -> bool:
    """What the page offers, by the roles this member came with; perform() decides."""
    roles = call.actor.roles if isinstance(call.actor, TeamMember) else frozenset()
    return bool(roles & set(getattr(operation, "by", ())))
