"""Arbitrary and damaged input: only the verifier's own errors, and nothing damaged is ever verified."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subs_verifier import (
    VerifierError,
    compare_with_status,
    open_checkpoint,
    parse_consistency,
    parse_inclusion,
    parse_key,
    parse_policy,
    policy_of_key,
    verify_folder,
    verify_statement,
)
from subs_verifier.note import split_note
from subs_verifier.statement import Statement
from subs_verifier.tiles import leaf_hashes, parse_path, path_of
from tests.verifier.building import (
    LOG,
    WITNESSES,
    checkpoint,
    consistency_file,
    entries_of,
    files,
    inclusion_file,
    leaf,
    write_folder,
)
from tests.verifier.test_command import EVENT, statement

POLICY = policy_of_key(LOG.vkey)
ENTRIES = entries_of(300)
LEAVES = [leaf(entry) for entry in ENTRIES]
NOTE = checkpoint(LEAVES, LOG, WITNESSES)
OLD = checkpoint(LEAVES[:100])
INCLUSION = inclusion_file(77, LEAVES, NOTE, ENTRIES[77])
CONSISTENCY = consistency_file(100, LEAVES, NOTE)
STATEMENT = statement(EVENT)
KNOWN: Statement = verify_statement(STATEMENT, POLICY)
TRUST = f"log {LOG.vkey}\nwitness w {WITNESSES[0].vkey}\ngroup g any w\nquorum g\n".encode()
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

READERS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "key": (lambda data: parse_key(data.decode("latin-1")), LOG.vkey.encode()),
    "note": (split_note, NOTE),
    "checkpoint": (lambda data: open_checkpoint(data, POLICY), NOTE),
    "policy": (parse_policy, TRUST),
    "inclusion": (lambda data: parse_inclusion(data).verify(ENTRIES[77], POLICY), INCLUSION),
    "consistency": (lambda data: parse_consistency(data).verify(OLD, POLICY), CONSISTENCY),
    "statement": (lambda data: verify_statement(data, POLICY), STATEMENT),
    "status": (lambda data: compare_with_status(KNOWN, data), b'{"promises":[{"id":"transit.tls13"}]}'),
    "bundle": (lambda data: leaf_hashes(data, 256), files(ENTRIES)["tile/entries/000"]),
    "path": (lambda data: parse_path(data.decode("latin-1")), b"tile/0/x001/234.p/5"),
}


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The same with a byte changed, a part cut out, doubled, or something put in."""
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 40)))
    part = whole[start:end]
    same = st.sampled_from([b"", part * 2, part[::-1], part.swapcase()])
    changed = draw(same | st.binary(max_size=8) | st.text(max_size=4).map(str.encode))
    return whole[:start] + changed + whole[end:]


def only_own_errors(read: Callable[[bytes], Any], data: bytes) -> bool:
    """Whether it was accepted."""
    try:
        read(data)
    except VerifierError as error:
        assert str(error)
        return False
    return True


@pytest.mark.parametrize("name", READERS)
def test_arbitrary_bytes(name: str) -> None:
    read, _ = READERS[name]

    @quick
    @given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
    def check(data: bytes) -> None:
        only_own_errors(read, data)

    check()


@pytest.mark.parametrize("name", READERS)
def test_damaged_input(name: str) -> None:
    read, whole = READERS[name]

    @quick
    @given(damaged(whole))
    def check(data: bytes) -> None:
        only_own_errors(read, data)

    check()


@quick
@given(damaged(NOTE))
def test_a_damaged_note_never_says_anything_else(data: bytes) -> None:
    """Lines of keys that are not known may change; what was signed may not."""
    try:
        head = open_checkpoint(data, POLICY)
    except VerifierError:
        return
    assert head.checkpoint.text() == NOTE.decode().partition("\n\n")[0] + "\n"


@quick
@given(damaged(INCLUSION))
def test_a_damaged_inclusion_proof_never_proves_anything_else(data: bytes) -> None:
    try:
        proof = parse_inclusion(data)
        proof.verify(ENTRIES[77], POLICY)
    except VerifierError:
        return
    whole = parse_inclusion(INCLUSION)
    assert (proof.index, proof.path) == (whole.index, whole.path)


@quick
@given(damaged(ENTRIES[77]))
def test_a_damaged_entry_is_never_included(data: bytes) -> None:
    if data != ENTRIES[77]:
        with pytest.raises(VerifierError):
            parse_inclusion(INCLUSION).verify(data, POLICY)


@quick
@given(damaged(CONSISTENCY))
def test_a_damaged_consistency_proof_never_proves_anything_else(data: bytes) -> None:
    try:
        proof = parse_consistency(data)
        proof.verify(OLD, POLICY)
    except VerifierError:
        return
    whole = parse_consistency(CONSISTENCY)
    assert (proof.old, proof.path) == (whole.old, whole.path)


@quick
@given(damaged(STATEMENT))
def test_a_damaged_statement_never_states_anything_else(data: bytes) -> None:
    try:
        found = verify_statement(data, POLICY)
    except VerifierError:
        return
    assert (found.verdict, found.finding, found.figures, found.at) == (
        KNOWN.verdict, KNOWN.finding, KNOWN.figures, KNOWN.at,
    )  # fmt: skip


def test_a_damaged_folder_is_never_verified() -> None:
    place = Path(tempfile.mkdtemp(prefix="subs-verify-"))
    contents = files(ENTRIES) | {"checkpoint": checkpoint(LEAVES)}
    write_folder(place, ENTRIES)

    @quick
    @given(st.data(), st.sampled_from(sorted(contents)))
    def check(data: st.DataObject, name: str) -> None:
        changed = data.draw(damaged(contents[name]))
        (place / name).write_bytes(changed)
        try:
            if changed != contents[name]:
                assert not only_own_errors(lambda _: verify_folder(place, POLICY), b"")
        finally:
            (place / name).write_bytes(contents[name])

    try:
        check()
        verify_folder(place, POLICY)
    finally:
        shutil.rmtree(place)


@quick
@given(st.integers(0, 2**63 - 1), st.integers(1, 256), st.sampled_from(["entries", 0, 7, 63]))
def test_names_of_tiles_are_read_as_they_are_written(index: int, width: int, level: int | str) -> None:
    name = path_of(level, index, width)
    if len(name) <= 64:
        assert parse_path(name) == (level, index, width)
