"""The documentation of every operation, and the table of who may do what, drawn from the registry. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from subscription_services.kernel import authorise
from subscription_services.kernel.actors import (
    Actor,
    Anonymous,
    Role,
    ServiceAccount,
    Standing,
    Subscriber,
    System,
    TeamMember,
)
from subscription_services.kernel.context import Context, Origin
from subscription_services.kernel.errors import Refusal
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.operations import (
    AnyLimit,
    GrowingLimit,
    Operation,
    Registry,
    SpreadLimit,
    permission_text,
)
from subscription_services.kernel.personal import FieldKind
from subscription_services.kernel.sight import seen_by, unmaskable

from .document_types import fields_of, name_of
from .failures import failures

_AT = datetime(2000, 1, 1, tzinfo=UTC)
_MARK = "<!-- Written by `subs document` from the registry. Change the operations, not this file. -->"
YES, OWN, NO = "yes", "own", "—"
PLAIN, MASKED, ON_REQUEST = "plain", "masked", "with a reason"


def actors() -> Mapping[str, tuple[Actor, Standing]]:
    """One actor of every kind and role, with everything that it can have, by the heading of its column."""
    kinds: dict[str, tuple[Actor, Standing]] = {
        "anonymous": (Anonymous(), Standing()),
        "subscriber": (Subscriber("acc_0", "ses_0", _AT, True), Standing(signed_in_at=_AT, second_factor=True)),
        "team, no role": (TeamMember("acc_0", "ses_0", _AT, frozenset(), True), _standing()),
    }
    for role in Role:
        kinds[role.value] = (TeamMember("acc_0", "ses_0", _AT, frozenset({role}), True), _standing(role))
    kinds["service account"] = (ServiceAccount("svc_0", "tok_0"), Standing())
    kinds["the service itself"] = (System("documents"), Standing())
    return kinds


def decide(operation: Operation, actor: Actor, standing: Standing) -> str:
    """The cell of one actor and operation, as authorise.permit decides it: yes, own (account only) or no."""
    if isinstance(actor, ServiceAccount):
        standing = Standing(scopes=frozenset({operation.name}))
    ctx = Context(actor, _AT, Ids(lambda: _AT, bytes), bytes, Origin(), "")
    try:
        return OWN if authorise.permit(operation, ctx, standing) else YES
    except Refusal:
        return NO


def roles_document(registry: Registry) -> str:
    """docs/roles.md: every operation and every kind of actor."""
    columns = actors()
    lines = [
        "# Who may do what", "", _MARK, "",
        "Each cell is what the permission check itself decides. “own”: for the actor's own account only; “scope”: with",
        "a token scoped to the operation. Everything else is refused. Needs such as a recent sign-in come on top;",
        "see [operations](operations.md).", "",
    ]  # fmt: skip
    for room, items in _by_room(registry):
        lines += [f"## {room}", "", _row(["operation", *columns]), _row(["---", *(":-:" for _ in columns)])]
        for item in items:
            cells = [_cell(decide(item, actor, standing), actor) for actor, standing in columns.values()]
            lines.append(_row([f"[{item.name}](operations.md#{_anchor(item.name)})", *cells]))
        lines.append("")
    return "\n".join([*lines, *_fields_seen()])


def field_cell(actor: Actor, roles: Collection[Role], kind: FieldKind) -> str:
    """How a kind of personal data of somebody else reaches this actor; perform() masks by the same rule."""
    if kind in seen_by(actor, roles):
        return PLAIN
    if isinstance(actor, ServiceAccount):
        return MASKED
    return ON_REQUEST if kind in unmaskable(roles) else MASKED


def _fields_seen() -> Iterator[str]:
    yield from (
        "## What each role sees of a person", "",
        "Personal data in answers about somebody else. “with a reason”: masked, until",
        "[access.unmask](operations.md#accessunmask) shows it once. Everybody sees their own account plain. E-mail",
        "addresses inside of anything else are masked where e-mails are. A program with the scope `access.unmask` can",
        "ask for what is masked, one person at a time.", "",
    )  # fmt: skip
    columns = {
        heading: (actor, standing.roles)
        for heading, (actor, standing) in actors().items()
        if isinstance(actor, TeamMember | ServiceAccount)
    }
    yield _row(["kind of field", *columns])
    yield _row(["---", *(":-:" for _ in columns)])
    for kind in FieldKind:
        yield _row([kind.value, *(field_cell(actor, roles, kind) for actor, roles in columns.values())])
    yield ""


def operations_document(registry: Registry) -> str:
    """docs/operations.md: what every operation does, who may, what it needs, takes, answers and refuses."""
    lines = [
        "# Operations", "", _MARK, "",
        "Everything that happens here is one of these. Changes are `POST`, reads are `GET`, at `/api/` and the name.",
        "Every operation can also fail with `invalid`, `too-many` (where a limit is named) and `unavailable`.", "",
    ]  # fmt: skip
    for room, items in _by_room(registry):
        lines += [f"## {room}", ""]
        for item in items:
            lines += _describe(item)
    return "\n".join(lines)


def _describe(item: Operation) -> Iterator[str]:
    yield f"### {item.name}"
    yield ""
    yield item.summary
    yield ""
    yield f"- **Who may:** {'; '.join(permission_text(rule) for rule in item.by)}"
    if item.needs:
        yield f"- **Needs:** {', '.join(need.name for need in item.needs)}"
    if item.limits:
        yield f"- **Limits:** {'; '.join(_limit(limit) for limit in item.limits)}"
    yield f"- **Kind:** {_kind(item)}"
    yield f"- **Recorded:** {'yes' if item.audited else 'no, it reads what is public'}"
    if found := failures(item):
        yield f"- **Refuses with:** {', '.join(f'`{error.code}`' for error in found)}"
    yield ""
    yield from _fields("Request", item.request)
    yield from _fields(f"Answer: {name_of(item.answer)}", item.answer)


def _kind(item: Operation) -> str:
    if item.internal:
        return "internal; no page, API or command reaches it"
    if not item.changes:
        return f"read, `GET /api/{item.name}`"
    repeat = "may be repeated under an idempotency key" if item.idempotent else "shows a secret once, so not repeatable"
    return f"change, `POST /api/{item.name}`, {repeat}"


def _limit(limit: AnyLimit) -> str:
    if isinstance(limit, SpreadLimit):
        return f"{limit.allowed} different ones that fail in {limit.seconds} s: {limit.by}"
    if isinstance(limit, GrowingLimit):
        waits = ", ".join(map(str, limit.waits))
        return f"{limit.allowed} failures for each {limit.by}, then waits of {waits} s"
    each = {"all": "in all", "address": "for each address", "block": "for each network", "actor": "for each actor"}
    return f"{limit.allowed} in {limit.seconds} s {each.get(limit.by, f'for each {limit.by}')}"


def _fields(title: str, kind: Any) -> Iterator[str]:
    rows = list(fields_of(kind))
    if not rows:
        yield f"{title}: nothing" if title == "Request" else title
        yield ""
        return
    yield title
    yield ""
    yield _row(["field", "type", "must be given"] if title == "Request" else ["field", "type"])
    yield _row(["---"] * (3 if title == "Request" else 2))
    for name, words, required in rows:
        yield _row([name, words, "yes" if required else "no"] if title == "Request" else [name, words])
    yield ""


def _standing(*roles: Role) -> Standing:
    return Standing(roles=frozenset(roles), signed_in_at=_AT, second_factor=True)


def _cell(decided: str, actor: Actor) -> str:
    return "scope" if decided == YES and isinstance(actor, ServiceAccount) else decided


def _by_room(registry: Iterable[Operation]) -> Iterator[tuple[str, list[Operation]]]:
    ordered = sorted(registry, key=lambda item: item.name)
    for room in sorted({item.room for item in ordered}):
        yield room, [item for item in ordered if item.room == room]


def _anchor(name: str) -> str:
    return name.replace(".", "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
