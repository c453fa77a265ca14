"""Answers masked as their reader's role demands: a plan for each type, made when the operation is declared.

An operation returns plain values; perform() masks them on the way out. So no operation can forget it, and one whose
answer holds nothing personal has no plan and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import replace

from .actors import Actor, Elevation, Standing
from .personal import FieldKind, Personal, mask, mask_emails
from .sight import is_masked_for, seen_by

_EMAILS = frozenset({FieldKind.EMAIL, FieldKind.COLLEAGUE_EMAIL})


@dataclass(frozen=True, slots=True)
class Sight:
    """What a reader sees: the kinds, and whether all of it is about themselves."""

    kinds: frozenset[FieldKind]
    reader: str = ""
    own: bool = False


Plan = Callable[[Any, Sight], Any]
"""Gives the value as it is seen; the very same object where nothing is masked."""

_plans: dict[type, Plan | None] = {}


def plan_of(kind: Any) -> Plan | None:
    """How to mask a value of this type; None where it holds nothing personal."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        for note in notes:
            if isinstance(note, Personal):
                return _masker(note.kind)
        return plan_of(inner)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind)
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _union(parts)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        inside = plan_of(parts[1])
        return None if inside is None else _each_value(inside)
    if origin in (list, tuple, set, frozenset):
        return _items(origin, parts)
    return None


def seen(
    plan: Plan, answer: Any, actor: Actor, standing: Standing, *, own: bool, tasks: tuple[Elevation, ...] = ()
) -> Any:
    """The answer as the actor may see it: by their roles, and by the role of the task that they did it under.

    `own` says that it is about the actor alone."""
    if not is_masked_for(actor):
        return answer
    lent = [task.role for task in tasks if task.role is not None]
    return plan(answer, Sight(seen_by(actor, (*standing.roles, *lent)), actor.id, own))


def _shown(kind: FieldKind, text: str, sight: Sight, *, own: bool) -> str:
    if own:
        return text
    if kind not in sight.kinds:
        return mask(kind, text)
    if kind in _EMAILS or FieldKind.EMAIL in sight.kinds:
        return text
    return mask_emails(text) if "@" in text else text


def _masker(kind: FieldKind) -> Plan:
    def step(value: Any, sight: Sight) -> Any:
        if isinstance(value, str):
            return _shown(kind, value, sight, own=sight.own)
        if isinstance(value, list | tuple):
            return type(value)(step(item, sight) for item in value)
        if isinstance(value, Mapping):
            return {key: step(item, sight) for key, item in value.items()}
        return value if value is None else mask(kind, str(value))

    return step


def _struct(kind: type[msgspec.Struct]) -> Plan | None:
    if kind in _plans:
        return _plans[kind]
    steps: list[tuple[str, Plan, str]] = []
    _plans[kind] = lambda value, sight: _apply(value, sight, steps)  # for a type that holds itself
    hints = get_type_hints(kind, include_extras=True)
    for name in kind.__struct_fields__:
        if (step := plan_of(hints[name])) is not None:
            steps.append((name, step, _whose(hints[name])))
    if not steps:
        _plans[kind] = None
    return _plans[kind]


def _whose(kind: Any) -> str:
    notes = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return next((note.of for note in notes if isinstance(note, Personal)), "")


def _apply(value: msgspec.Struct, sight: Sight, steps: list[tuple[str, Plan, str]]) -> msgspec.Struct:
    changes: dict[str, Any] = {}
    for name, step, whose in steps:
        before = getattr(value, name)
        by = Sight(sight.kinds, sight.reader, getattr(value, whose) == sight.reader) if whose else sight
        after = step(before, by)
        if after is not before:
            changes[name] = after
    return replace(value, **changes) if changes else value


def _union(parts: tuple[Any, ...]) -> Plan | None:
    plans = [(part, found) for part in parts if (found := plan_of(part)) is not None]
    if not plans:
        return None
    by_type = {part: found for part, found in plans if isinstance(part, type)}
    rest = next((found for part, found in plans if not isinstance(part, type)), None)

    def step(value: Any, sight: Sight) -> Any:
        if value is None:
            return None
        found = by_type.get(type(value), rest)
        return value if found is None else found(value, sight)

    return step


def _items(origin: type, parts: tuple[Any, ...]) -> Plan | None:
    if origin is tuple and not (len(parts) == 2 and parts[1] is Ellipsis):
        plans = [plan_of(part) for part in parts]
        if not any(plans):
            return None
        return lambda value, sight: tuple(
            item if plan is None else plan(item, sight) for item, plan in zip(value, plans, strict=True)
        )
    inside = plan_of(parts[0]) if parts else None
    if inside is None:
        return None
    each: Plan = inside
    return lambda value, sight: origin(each(item, sight) for item in value)


def _each_value(inside: Plan) -> Plan:
    return lambda value, sight: {key: inside(item, sight) for key, item in value.items()}
