"""From a posted form to a typed request, with an error beside each field in people's words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from subscription_services.kernel.errors import DomainError, Malformed
from subscription_services.kernel.words import as_words, words
from subscription_services.web.form_words import field_in, in_words, without_path
from subscription_services.web.problems import HttpProblem

FORM_TYPE = "application/x-www-form-urlencoded"
CONTROL_FIELDS = frozenset({"csrf_token", "idempotency_key"})
MAX_FIELDS = 200
INT64 = 2**63
TOO_LARGE = words("This number is too large.")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FormState:
    """What a form shows: values typed before, an error per field, and one for the whole (`problem`)."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    prefix: str = "f-"

    def value(self, name: str) -> str:
        """What was typed, or nothing."""
        return self.values.get(name, "")

    def error(self, name: str) -> str | None:
        """The error to show beside the field."""
        return self.errors.get(name)

    def id(self, name: str) -> str:
        """The id of the field's control. Two forms on a page differ by `prefix`."""
        return f"{self.prefix}{name}"

    @property
    def wrong(self) -> bool:
        """Whether anything has to be corrected."""
        return bool(self.errors) or self.problem is not None


@dataclass(frozen=True, slots=True)
class Posted(Generic[T]):
    """A parsed form: either `request` is there, or `state` says what is wrong; it holds no secret."""

    request: T | None
    state: FormState
    names: frozenset[str]
    idempotency_key: str | None

    def failed(self, error: DomainError) -> FormState:
        """The form again, after the operation refused: beside the fields that the error names, else on top."""
        shown = {name: text for name, text in error.field_words.items() if name in self.names}
        return FormState(self.state.values, shown, None if shown else error.words)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of an urlencoded body (WHATWG URL standard); of a repeated name the first counts.

    Raises HttpProblem for another content type, Malformed for broken UTF-8 or more than 200 fields."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != FORM_TYPE:
        raise HttpProblem("unsupported-type", "A form is sent as application/x-www-form-urlencoded.")
    return parse_fields(await request.body())


def parse_fields(body: bytes) -> dict[str, str]:
    """See `read_form`."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except (UnicodeDecodeError, ValueError) as error:
        raise Malformed("The form could not be read: it is not valid UTF-8 text.") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise Malformed("The form holds a character that no field accepts.")
        fields.setdefault(name, value)
    return fields


def parse(
    fields: Mapping[str, str],
    into: type[T],
    *,
    secrets: Collection[str] = (),
    labels: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> Posted[T]:
    """Fields as a msgspec Struct. Empty fields count as not filled in, unknown ones are ignored.

    `secrets` are never shown again; `labels` name fields in error texts; `given` adds what the handler knows
    (an id from the path) and wins over what was posted."""
    typed = {name: value for name, value in fields.items() if name not in CONTROL_FIELDS}
    key = fields.get("idempotency_key") or None
    structure: Any = into
    names = {item.name: item for item in msgspec.structs.fields(structure)}
    posted: dict[str, Any] = {
        name: value if name in secrets else value.strip() for name, value in typed.items() if name in names
    }
    errors: dict[str, str] = {}
    ready: dict[str, Any] = dict(given or {})
    for name, item in names.items():
        if name in ready:
            continue
        text = posted.get(name, "")
        if text == "":
            if item.required:
                errors[name] = in_words(name, item.type, "required", labels)
            continue
        try:
            ready[name] = msgspec.convert(text, item.type, strict=False)
            if isinstance(ready[name], int) and not -INT64 <= ready[name] < INT64:
                errors[name] = TOO_LARGE
        except msgspec.ValidationError as error:
            errors[name] = in_words(name, item.type, str(error), labels)
    kept = {name: value for name, value in typed.items() if name not in secrets}
    made: T | None = None
    problem: str | None = None
    if not errors:
        try:
            # a Struct may check its fields against each other in __post_init__
            made = msgspec.convert(ready, into, strict=False)
        except msgspec.ValidationError as error:
            at = field_in(str(error))
            if at in names:
                errors[at] = as_words(without_path(str(error)))
            else:
                problem = as_words(without_path(str(error)))
    return Posted(made, FormState(kept, errors, problem), frozenset(names), key)
