"""Frames and requests: whatever arrives in whatever pieces is read as it was written, or refused."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscription_services.kernel.errors import StoreFull
from subscription_services.keys import KeyTampered, KeyUnavailable, SubjectErased, Tombstone, errors
from subscription_services.keys.ports import KeyService
from subscription_services.keys.wire import (
    METHODS,
    REQUEST_LIMIT,
    FrameError,
    Frames,
    frame,
    read_answer,
    read_request,
    write_failure,
    write_request,
    write_result,
)

LIMIT = 64


def read_all(data: bytes, cuts: list[int]) -> list[bytes]:
    frames, found, at = Frames(LIMIT), [], 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        frames.feed(data[at:cut])
        at = cut
        while (content := frames.next()) is not None:
            found.append(content)
    assert frames.empty == (sum(len(content) + 4 for content in found) == len(data))
    return found


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=LIMIT)), st.lists(st.integers(0, 500)))
def test_frames_arrive_as_they_were_sent_in_whatever_pieces(contents: list[bytes], cuts: list[int]) -> None:
    assert read_all(b"".join(frame(content, LIMIT) for content in contents), cuts) == contents


@settings(deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_any_bytes_give_frames_within_the_limit_or_are_refused(data: bytes, cuts: list[int]) -> None:
    try:
        found = read_all(data, cuts)
    except FrameError:
        return
    assert all(1 <= len(content) <= LIMIT for content in found)
    assert data.startswith(b"".join(frame(content, LIMIT) for content in found))


@pytest.mark.parametrize("length", [0, LIMIT + 1])
def test_a_length_outside_the_limit_is_refused_before_anything_is_kept(length: int) -> None:
    frames = Frames(LIMIT)
    frames.feed(length.to_bytes(4, "big"))
    with pytest.raises(FrameError):
        frames.next()
    with pytest.raises(FrameError):
        frame(bytes(length), LIMIT)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_content_is_a_request_or_refused(content: bytes) -> None:
    try:
        number, method, arguments = read_request(content)
    except FrameError:
        return
    assert METHODS[method.name] is method
    assert isinstance(arguments, method.arguments)
    assert number >= 0


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(METHODS)))
def test_any_content_is_an_answer_or_refused(content: bytes, name: str) -> None:
    with pytest.raises((FrameError, KeyUnavailable)):
        read_answer(content, 2**62, METHODS[name])


@settings(deadline=None)
@given(st.data())
def test_requests_of_every_method_arrive_as_they_were_made(data: st.DataObject) -> None:
    method = METHODS[data.draw(st.sampled_from(sorted(METHODS)))]
    hints = {field.name: field.type for field in msgspec.structs.fields(method.arguments)}
    drawn = {name: data.draw(st.from_type(hint)) for name, hint in hints.items() if name not in ("tombstones",)}
    drawn = {name: value for name, value in drawn.items() if not isinstance(value, int) or abs(value) < 2**63}
    try:
        arguments = method.bind((), drawn)
    except TypeError:
        return
    sent = write_request(5, method.name, arguments)
    number, found, arrived = read_request(sent[4:])
    assert (number, found, arrived) == (5, method, arguments)


def test_every_method_of_the_service_travels_with_its_defaults() -> None:
    expected = {name for name, _ in inspect.getmembers(KeyService, inspect.isfunction) if not name.startswith("_")}
    assert METHODS.keys() == expected - {"close"}
    for name, method in METHODS.items():
        parameters = list(inspect.signature(getattr(KeyService, name)).parameters.values())[1:]
        assert method.parameters == tuple(parameter.name for parameter in parameters)


def test_any_iterable_travels_as_an_array() -> None:
    tombstone = Tombstone("acc_1", "subject", "r", datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC), 3)
    method = METHODS["replay_tombstones"]
    sent = write_request(1, method.name, method.bind(("backups",), {"tombstones": iter([tombstone])}))
    assert read_request(sent[4:])[2].tombstones == (tombstone,)  # type: ignore[attr-defined]
    assert read_answer(write_result(1, (tombstone,))[4:], 1, METHODS["tombstones"]) == (tombstone,)


def test_wrong_arguments_fail_where_they_are_written() -> None:
    for values, named in (((1, 2), {}), ((), {"b": 1})):
        with pytest.raises(TypeError):
            METHODS["generation"].bind(values, named)


def test_a_request_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(FrameError):
        write_request(1, "sign", METHODS["sign"].bind(("ledger", "ledger.x", bytes(REQUEST_LIMIT)), {}))


@pytest.mark.parametrize("name", [*errors.__all__, "StoreFull"])
def test_each_error_arrives_as_the_same_type(name: str) -> None:
    kind = StoreFull if name == "StoreFull" else getattr(errors, name)
    sent = write_failure(3, kind("as it was said", fields={"name": "why"}))
    with pytest.raises(kind, match="as it was said") as caught:
        read_answer(sent[4:], 3, METHODS["generation"])
    assert type(caught.value) is kind
    assert caught.value.fields == {"name": "why"}


def test_an_error_that_only_a_newer_service_knows_hands_out_nothing() -> None:
    class Newer(KeyTampered):
        code = "newer"

    with pytest.raises(KeyUnavailable, match="new words"):
        read_answer(write_failure(1, Newer("new words"))[4:], 1, METHODS["generation"])


def test_an_answer_to_another_request_is_refused() -> None:
    with pytest.raises(FrameError):
        read_answer(write_result(1, 0)[4:], 2, METHODS["generation"])
    with pytest.raises(FrameError):
        read_answer(write_failure(1, SubjectErased())[4:], 2, METHODS["generation"])
