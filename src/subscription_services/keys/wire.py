"""What travels between the key service and its clients: frames, requests, answers, errors.

A frame is four bytes of length (big endian, 1 to the limit) and that many bytes of MessagePack. The requests are
read off the protocol `ports.KeyService`: a method added there travels without further code here.
"""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from subscription_services.kernel import errors as kernel_errors
from subscription_services.kernel.errors import DomainError, KeyUnavailable

from . import errors as key_errors
from .ports import KeyService

REQUEST_LIMIT = 2**20
"""Bytes of a request: the service never buffers more for a client."""
ANSWER_LIMIT = 2**26
"""Bytes of an answer; the list of all erasures is the longest."""
LOCAL = frozenset({"close"})
"""Methods that concern only the end where they are called."""
NOT_REPEATABLE = frozenset({"rotate"})
"""Methods that would do more when carried out twice; a client repeats the others when a connection breaks."""

_LENGTH = Struct(">I")
_MANY = (
    collections.abc.Iterable,
    collections.abc.Iterator,
    collections.abc.Collection,
    collections.abc.Sequence,
)


class FrameError(Exception):
    """What arrived is no frame; nothing after it can be read either."""


class Frames:
    """Cuts what arrives into frames. Raises FrameError as soon as a length is 0 or above the limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()

    @property
    def empty(self) -> bool:
        """Whether nothing of an unfinished frame is held."""
        return not self._held

    def feed(self, arrived: bytes) -> None:
        self._held += arrived

    def next(self) -> bytes | None:
        """The next whole frame's content, or None until more has arrived."""
        if len(self._held) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._held)
        if not 1 <= length <= self._limit:
            raise FrameError(f"a frame of {length} bytes; 1 to {self._limit} are accepted")
        end = _LENGTH.size + length
        if len(self._held) < end:
            return None
        content = bytes(self._held[_LENGTH.size : end])
        del self._held[:end]
        return content


def frame(content: bytes, limit: int) -> bytes:
    """Raises FrameError when the other end would not accept it."""
    if not 1 <= len(content) <= limit:
        raise FrameError(f"a frame of {len(content)} bytes; 1 to {limit} are accepted")
    return _LENGTH.pack(len(content)) + content


class Request(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=0)]
    method: Annotated[str, msgspec.Meta(max_length=64)]
    arguments: msgspec.Raw


class Failure(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A domain error, by its code."""

    code: str
    text: str
    fields: dict[str, str] = {}


class Answer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: int
    failure: Failure | None
    result: msgspec.Raw


_request = msgspec.msgpack.Decoder(Request)
_answer = msgspec.msgpack.Decoder(Answer)
_encode = msgspec.msgpack.Encoder().encode
_NOTHING = msgspec.Raw(_encode(None))


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the key service as it travels."""

    name: str
    parameters: tuple[str, ...]
    many: frozenset[str]
    """Parameters that take any iterable; they travel as an array."""
    arguments: type[msgspec.Struct]
    read_arguments: msgspec.msgpack.Decoder[Any]
    read_result: msgspec.msgpack.Decoder[Any]

    def bind(self, values: tuple[Any, ...], named: Mapping[str, Any]) -> msgspec.Struct:
        """Arguments as they are written in a call. Raises TypeError for wrong ones."""
        if len(values) > len(self.parameters):
            raise TypeError(f"{self.name}() takes {len(self.parameters)} arguments")
        given = {**dict(zip(self.parameters, values, strict=False)), **named}
        return self.arguments(**{key: tuple(v) if key in self.many else v for key, v in given.items()})


def _methods() -> Mapping[str, Method]:
    found = {}
    for name, function in inspect.getmembers(KeyService, inspect.isfunction):
        if not name.startswith("_") and name not in LOCAL:
            found[name] = _method(name, function)
    return MappingProxyType(found)


def _method(name: str, function: Any) -> Method:
    hints = get_type_hints(function)
    fields: list[Any] = []
    many = set()
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        kind = hints[parameter.name]
        if get_origin(kind) in _MANY:
            kind = tuple[get_args(kind)[0], ...]  # type: ignore[misc]
            many.add(parameter.name)
        default = msgspec.NODEFAULT if parameter.default is parameter.empty else parameter.default
        fields.append((parameter.name, kind, default))
    arguments = msgspec.defstruct(f"{name}_arguments", fields, frozen=True, forbid_unknown_fields=True, kw_only=True)
    return Method(
        name, tuple(field[0] for field in fields), frozenset(many), arguments,
        msgspec.msgpack.Decoder(arguments), msgspec.msgpack.Decoder(hints["return"]),
    )  # fmt: skip


METHODS = _methods()
_ERRORS: Mapping[str, type[DomainError]] = {
    found.code: found
    for module in (kernel_errors, key_errors)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, DomainError)
}


def write_request(number: int, method: str, arguments: msgspec.Struct) -> bytes:
    """A whole frame. Raises FrameError when it is too large, ValueError or OverflowError when it cannot be written."""
    return frame(_encode(Request(number, method, msgspec.Raw(_encode(arguments)))), REQUEST_LIMIT)


def read_request(content: bytes) -> tuple[int, Method, msgspec.Struct]:
    """Raises FrameError for anything but a request of a known method with its own arguments."""
    try:
        request = _request.decode(content)
        method = METHODS[request.method]
        return request.number, method, method.read_arguments.decode(request.arguments)
    except KeyError:
        raise FrameError("an unknown method") from None
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise FrameError(f"no request: {type(error).__name__}") from None


def write_result(number: int, result: object) -> bytes:
    """Raises FrameError when the result is longer than an answer may be."""
    return frame(_encode(Answer(number, None, msgspec.Raw(_encode(result)))), ANSWER_LIMIT)


def write_failure(number: int, error: DomainError) -> bytes:
    failure = Failure(error.code, error.text, dict(error.fields))
    return frame(_encode(Answer(number, failure, _NOTHING)), ANSWER_LIMIT)


def read_answer(content: bytes, number: int, method: Method) -> Any:
    """The method's result. Raises the domain error that came instead, FrameError for anything else."""
    try:
        answer = _answer.decode(content)
        if answer.number != number:
            raise FrameError("the answer to another request")
        result = None if answer.failure else method.read_result.decode(answer.result)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise FrameError(f"no answer: {type(error).__name__}") from None
    if answer.failure:
        raise _error(answer.failure)
    return result


def _error(failure: Failure) -> DomainError:
    # a code that only a newer service knows still is a refusal to hand out a key
    return _ERRORS.get(failure.code, KeyUnavailable)(
        failure.text, **({"fields": failure.fields} if failure.fields else {})
    )
