"""Stripe's form encoding (`a[b][c]=d`, `a[]=b`, `a[0]=b`) and a reader that refuses what no one asked for."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from sandbox.processor.errors import Json, Refusal, missing

_PART = re.compile(r"\[([^\[\]]*)\]")
_MOST_FIELDS = 1000
_DEEPEST = 6


def decode(encoded: bytes) -> Json:
    """Nested dicts and lists of strings; Refusal for what is not such a form."""
    try:
        pairs = parse_qsl(encoded.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except (ValueError, UnicodeDecodeError) as error:
        raise Refusal("Invalid request: the body is not a UTF-8 encoded form.") from error
    root: Json = {}
    for name, value in pairs:
        _place(root, name, value)
    return {key: _lists(value) for key, value in root.items()}


def _place(root: Json, name: str, value: str) -> None:
    head, bracket, _ = name.partition("[")
    path = [head, *_PART.findall(name[len(head) :])]
    if len(path) > _DEEPEST or (bracket and "".join(f"[{part}]" for part in path[1:]) != name[len(head) :]):
        raise Refusal(f"Invalid parameter name: {name[:60]}", code="parameter_unknown", param=name[:60])
    node = root
    for part in path[:-1]:
        child = node.setdefault(part or str(len(node)), {})
        if not isinstance(child, dict):
            raise Refusal(f"Invalid hash: {head}", param=head)
        node = child
    node[path[-1] or str(len(node))] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(item) for key, item in value.items()}


class Params:
    """Reads parameters one by one; `done` refuses those that were never asked for."""

    def __init__(self, values: Json, prefix: str = "") -> None:
        self._values = values
        self._prefix = prefix
        self._read: set[str] = set()
        self._nested: list[Params] = []

    def _name(self, name: str) -> str:
        return f"{self._prefix}[{name}]" if self._prefix else name

    def has(self, name: str) -> bool:
        """Whether it was sent at all, an empty string included."""
        return name in self._values

    def text(self, name: str, *, most: int = 5000) -> str | None:
        """A string; an empty one counts as none."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise Refusal(f"Invalid string: {self._name(name)}", param=self._name(name))
        if len(value) > most:
            message = f"Invalid string: {value[:10]}...; must be at most {most} characters"
            raise Refusal(message, code="parameter_invalid_string_length", param=self._name(name))
        return value

    def required(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise missing(self._name(name))
        return value

    def integer(self, name: str) -> int | None:
        """A whole number."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            message = f"Invalid integer: {value[:40]}"
            raise Refusal(message, code="parameter_invalid_integer", param=self._name(name))
        return int(value)

    def flag(self, name: str) -> bool:
        """`true` or `false`; false when it was not sent."""
        value = self.text(name)
        if value not in (None, "true", "false"):
            raise Refusal(f"Invalid boolean: {value}", param=self._name(name))
        return value == "true"

    def one_of(self, name: str, allowed: Sequence[str], default: str | None = None) -> str | None:
        """One of the words allowed."""
        value = self.text(name)
        if value is None:
            return default
        if value not in allowed:
            message = f"Invalid {self._name(name)}: must be one of {', '.join(allowed)}"
            raise Refusal(message, param=self._name(name))
        return value

    def strings(self, name: str) -> list[str]:
        """A list of strings; empty when it was not sent."""
        self._read.add(name)
        value = self._values.get(name, [])
        if value == "":
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Refusal("Invalid array", param=self._name(name))
        return list(value)

    def inner(self, name: str) -> "Params":
        """The parameters inside a hash; empty when it was not sent."""
        self._read.add(name)
        value = self._values.get(name)
        if value in (None, ""):
            value = {}
        if not isinstance(value, dict):
            raise Refusal("Invalid hash", param=self._name(name))
        nested = Params(value, self._name(name))
        self._nested.append(nested)
        return nested

    def texts(self, name: str) -> dict[str, str]:
        """A flat hash of strings, such as an address."""
        nested = self.inner(name)
        return {key: nested.text(key) or "" for key in list(nested._values)}

    def metadata(self, before: dict[str, str]) -> dict[str, str]:
        """Stripe's metadata merged over what was there; an empty value removes its key."""
        if self.has("metadata") and self._values["metadata"] == "":
            self._read.add("metadata")
            return {}
        sent = self.texts("metadata")
        for key, value in sent.items():
            if len(key) > 40 or len(value) > 500:
                raise Refusal("Metadata keys have at most 40 characters, values 500", param="metadata")
        after = {key: value for key, value in {**before, **sent}.items() if value != ""}
        if len(after) > 50:
            raise Refusal("Metadata has at most 50 keys", param="metadata")
        return after

    def done(self) -> None:
        """Refuse every parameter that nobody read."""
        for name in self._values:
            if name not in self._read:
                full = self._name(name)
                message = f"Received unknown parameter: {full}"
                raise Refusal(message, code="parameter_unknown", param=full)
        for nested in self._nested:
            nested.done()
