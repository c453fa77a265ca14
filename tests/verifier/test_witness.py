"""The witness by the rules of C2SP tlog-witness, without HTTP."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subs_verifier import Unreadable, open_checkpoint, parse_key, parse_policy
from subs_verifier.note import split_note
from subs_verifier.witness import state as memory
from subs_verifier.witness.cli import main
from subs_verifier.witness.protocol import Cosigner
from subs_verifier.witness.state import State, StateError, make_state, watch
from tests.verifier.building import LOG, b64, checkpoint, consistency_file, entries_of, leaf, signer
from tests.verifier.test_fuzz import damaged

LEAVES = [leaf(entry) for entry in entries_of(40)]
FORK = [leaf(b"other"), *LEAVES[1:]]
NAME = "witness.example/w1"
NOW = 1_760_000_000.9


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make_state(tmp_path, NAME)
    watch(tmp_path, [parse_key(LOG.vkey)])
    return tmp_path


class Running:
    """A witness, and the logs that ask it."""

    def __init__(self, place: Path) -> None:
        self.state = State(place)
        self.cosigner = Cosigner(self.state, lambda: NOW)

    def add(self, old: int, leaves: list[bytes], note: bytes | None = None) -> tuple[int, bytes]:
        reply = self.cosigner.add_checkpoint(consistency_file(old, leaves, note or checkpoint(leaves)))
        return reply.status, reply.body


def test_a_log_grows_and_is_cosigned(place: Path) -> None:
    witness = Running(place)
    policy = parse_policy(f"log {LOG.vkey}\nwitness w {witness.cosigner.key.text()}\nquorum w\n".encode())
    old = 0
    for size in (0, 1, 1, 7, 32, 40, 40):
        note = checkpoint(LEAVES[:size])
        status, line = witness.add(old, LEAVES[:size], note)
        assert status == 200
        head = open_checkpoint(note + line, policy)
        assert [item.time for item in head.witnesses] == [int(NOW)]
        old = size


def test_the_answers_of_the_specification(place: Path) -> None:
    witness = Running(place)
    assert witness.add(0, LEAVES[:10])[0] == 200
    assert witness.add(0, LEAVES[:20]) == (409, b"10\n")
    assert witness.add(12, LEAVES[:20]) == (409, b"10\n")
    assert witness.add(10, FORK[:20])[0] == 422
    assert witness.add(10, FORK[:10])[0] == 422
    assert witness.cosigner.add_checkpoint(b"old 20\n\n" + checkpoint(LEAVES[:10])).status == 400
    other = signer("log.example/unknown")
    assert witness.add(10, LEAVES[:20], checkpoint(LEAVES[:20], other))[0] == 404
    impostor = signer(LOG.name, seed=9)
    assert witness.add(10, LEAVES[:20], checkpoint(LEAVES[:20], impostor))[0] == 403
    wrong = checkpoint(LEAVES[:20]).replace(b64(LEAVES[0])[:4].encode(), b"AAAA").replace(b"\n20\n", b"\n21\n")
    assert witness.add(10, LEAVES[:20], wrong)[0] == 403
    for body in (b"", b"old 10\n", b"old 010\n\n" + checkpoint(LEAVES), b"\n\n", checkpoint(LEAVES[:20])):
        assert witness.cosigner.add_checkpoint(body).status == 400
    assert witness.add(10, LEAVES[:20])[0] == 200


def test_the_first_checkpoint_needs_no_proof_and_takes_none(place: Path) -> None:
    witness = Running(place)
    with_proof = b"old 0\n" + f"{b64(bytes(32))}\n\n".encode() + checkpoint(LEAVES[:5])
    assert witness.cosigner.add_checkpoint(with_proof).status == 422
    assert witness.add(0, LEAVES[:5])[0] == 200


def test_an_empty_log_has_one_root(place: Path) -> None:
    text = f"{LOG.name}\n0\n{b64(bytes(32))}\n"
    body = f"old 0\n\n{text}\n{LOG.line(text)}".encode()
    assert Running(place).cosigner.add_checkpoint(body).status == 422


def test_it_remembers_after_a_restart(place: Path) -> None:
    first = Running(place)
    assert first.add(0, LEAVES[:10])[0] == 200
    first.state.close()
    second = Running(place)
    assert second.add(0, FORK[:10]) == (409, b"10\n")
    assert second.add(10, FORK[:10])[0] == 422


def test_one_process_at_a_time(place: Path) -> None:
    first = Running(place)
    with pytest.raises(StateError, match="another witness"):
        State(place)
    first.state.close()
    State(place).close()


def test_what_cannot_be_made_durable_is_not_cosigned(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = Running(place)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memory, "replace_file", full)
    with pytest.raises(StateError, match="No space left"):
        witness.add(0, LEAVES[:10])


@pytest.mark.parametrize("damage", [b"", b"0\n", b"none", bytes(100), checkpoint(LEAVES, signer("log.example/b"))])
def test_a_damaged_memory_stops_it(place: Path, damage: bytes) -> None:
    witness = Running(place)
    assert witness.add(0, LEAVES[:10])[0] == 200
    (witness.state.folder(LOG.name) / "latest").write_bytes(damage)
    with pytest.raises(StateError):
        witness.add(0, FORK[:10])


def test_a_lost_memory_stops_it(place: Path) -> None:
    witness = Running(place)
    (witness.state.folder(LOG.name) / "latest").unlink()
    with pytest.raises(StateError):
        witness.add(0, LEAVES[:10])
    witness.state.close()
    with pytest.raises(StateError, match="its memory is gone"):
        watch(place, [parse_key(LOG.vkey)])


def test_of_many_forks_at_once_one_is_cosigned(place: Path) -> None:
    witness = Running(place)
    assert witness.add(0, LEAVES[:5])[0] == 200
    forks = [[*LEAVES[:5], leaf(b"fork %d" % number)] for number in range(12)]
    bodies = [consistency_file(5, fork, checkpoint(fork)) for fork in forks]
    statuses: list[int] = []
    start = threading.Barrier(len(bodies))

    def ask(body: bytes) -> None:
        start.wait()
        statuses.append(witness.cosigner.add_checkpoint(body).status)

    threads = [threading.Thread(target=ask, args=[body]) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, *[409] * 11]


def test_strange_signatures_are_neither_kept_nor_shown(place: Path) -> None:
    witness = Running(place)
    strangers = [signer(f"stranger.example/{number}", 4) for number in range(20)]
    assert witness.add(0, LEAVES[:10], checkpoint(LEAVES[:10], LOG, strangers))[0] == 200
    shown = witness.cosigner.checkpoint_of(witness.state.folder(LOG.name).name)
    assert (shown.status, shown.body.count("—".encode())) == (200, 2)
    assert witness.cosigner.checkpoint_of("0" * 64).status == 404


def test_what_an_interruption_kept_from_monitors_is_shown_at_the_next_start(place: Path) -> None:
    witness = Running(place)
    assert witness.add(0, LEAVES[:10])[0] == 200
    assert witness.add(10, LEAVES[:20])[0] == 200
    folder = witness.state.folder(LOG.name)
    whole = (folder / "cosigned").read_bytes()
    for lost in (None, checkpoint(LEAVES[:10])):
        (folder / "cosigned").unlink()
        if lost:
            (folder / "cosigned").write_bytes(lost)
        witness.cosigner.show_latest()
        assert (folder / "cosigned").read_bytes() == whole
    (folder / "latest").write_bytes(b"")
    with pytest.raises(StateError):
        witness.cosigner.show_latest()


def test_damaged_requests_get_an_answer_and_no_cosignature_of_anything_else(place: Path) -> None:
    witness = Running(place)
    assert witness.add(0, LEAVES[:10])[0] == 200
    latest = witness.state.folder(LOG.name) / "latest"
    first = latest.read_bytes()

    @settings(max_examples=150, deadline=None)
    @given(damaged(consistency_file(10, LEAVES, checkpoint(LEAVES))) | st.binary(max_size=200))
    def check(body: bytes) -> None:
        latest.write_bytes(first)
        reply = witness.cosigner.add_checkpoint(body)
        assert reply.status in (200, 400, 403, 404, 409, 422)
        wanted = checkpoint(LEAVES) if reply.status == 200 else first
        assert witness.state.latest(LOG.name).text() == split_note(wanted)[0]

    check()


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "new" / "state"
    assert main(["init", "--state", str(place), NAME]) == 0
    vkey = capsys.readouterr().out.strip()
    assert parse_key(vkey).name == NAME
    assert main(["watch", "--state", str(place), LOG.vkey]) == 0
    assert main(["key", "--state", str(place)]) == 0
    assert capsys.readouterr().out.strip() == vkey
    assert (place / "key").stat().st_mode & 0o777 == 0o600
    assert main(["init", "--state", str(place), NAME]) == 2
    assert "there is a key already" in capsys.readouterr().err
    assert main(["watch", "--state", str(place), vkey]) == 2
    assert main(["serve", "--state", str(tmp_path / "nowhere")]) == 2
    with pytest.raises(Unreadable):
        State(tmp_path / "nowhere")
