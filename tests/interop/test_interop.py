"""Three readings of the formats (Go's sumdb, aics-tlog, our verifier) agree about what our log published."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from subs_verifier import parse_key
from subs_verifier.witness.protocol import Cosigner
from subs_verifier.witness.state import State, make_state, watch
from tests.interop.conftest import SIZES, Program, Published

pytestmark = pytest.mark.xdist_group("interop")
READERS = ("go_program", "aics")


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> Callable[[Path, str, int], str | None]:
    """Verifies a folder, and says how much it read."""
    found: Program = request.getfixturevalue(request.param)
    first = ("folder",) if request.param == "go_program" else ()
    return lambda place, vkey, minimum: found.run(*first, place, vkey, str(minimum))


@pytest.fixture
def copy(published: Published, tmp_path: Path) -> Path:
    return shutil.copytree(published.folder, tmp_path / "log")


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_others_verify_what_we_export(
    published: Published, reader: Callable[[Path, str, int], str | None], ours: Program
) -> None:
    size = published.size
    assert size >= sum(SIZES)
    tiles = -(-size // 256) + 1
    said = reader(published.folder, published.vkey, 0)
    assert said in (f"size {size} tiles {tiles} records {size}\n", f"size {size} tiles {tiles} bundles {tiles - 1}\n")


def test_our_verifier_agrees(published: Published, ours: Program) -> None:
    # exit code 3: nobody cosigned
    assert ours.run("folder", "--key", published.vkey, published.folder) is None
    from subs_verifier import policy_of_key, verify_folder

    report = verify_folder(published.folder, policy_of_key(published.vkey), since=published.old.read_bytes())
    assert (report.entries, report.head.witnessed) == (published.size, False)


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/001", "tile/1/000.p", "tile/entries/001", "checkpoint"])
@pytest.mark.parametrize("place", [0, -1])
def test_others_refuse_what_was_changed(
    published: Published, reader: Callable[[Path, str, int], str | None], copy: Path, name: str, place: int
) -> None:
    path = copy / name
    if path.is_dir():
        (path,) = path.iterdir()
    flip(path, -10 if name == "checkpoint" and place == -1 else place)
    assert reader(copy, published.vkey, 0) is None


def test_others_refuse_another_key(published: Published, reader: Callable[[Path, str, int], str | None]) -> None:
    from tests.verifier.building import signer

    assert reader(published.folder, signer(published.vkey.partition("+")[0]).vkey, 0) is None


def test_a_pruned_log_is_still_verified(
    published: Published, reader: Callable[[Path, str, int], str | None], copy: Path
) -> None:
    (copy / "tile/entries/000").unlink()
    assert reader(copy, published.vkey, 0) is None
    assert reader(copy, published.vkey, 256) is not None


def test_others_verify_what_our_witness_cosigned(
    published: Published, go_program: Program, aics: Program, ours: Program, copy: Path, tmp_path: Path
) -> None:
    key = make_state(tmp_path / "witness", "witness.example/w1").text()
    assert aics.run(copy, published.vkey, "0", key) is None
    watch(tmp_path / "witness", [parse_key(published.vkey)])
    state = State(tmp_path / "witness")
    note = (copy / "checkpoint").read_bytes()
    reply = Cosigner(state, time.time).add_checkpoint(b"old 0\n\n" + note)
    state.close()
    assert reply.status == 200
    (copy / "checkpoint").write_bytes(note + reply.body)
    assert aics.run(copy, published.vkey, "0", key) is not None
    assert go_program.run("folder", copy, published.vkey) is not None
    (tmp_path / "policy").write_text(f"log {published.vkey}\nwitness w {key}\nquorum w\n")
    said = ours.run("folder", copy, "--policy", tmp_path / "policy", "--since", published.old)
    assert said is not None
    assert said.endswith("\nproved\n")
    (copy / "checkpoint").write_bytes(note + reply.body.replace(reply.body[-9:-5], b"AAAA"))
    assert aics.run(copy, published.vkey, "0", key) is None
    assert ours.run("folder", copy, "--policy", tmp_path / "policy") is None


def test_go_verifies_our_proofs(published: Published, go_program: Program, tmp_path: Path) -> None:
    for proof, entry in published.inclusion:
        assert go_program.run("inclusion", proof, entry, published.vkey) is not None
        (tmp_path / "entry").write_bytes(entry.read_bytes() + b" ")
        assert go_program.run("inclusion", proof, tmp_path / "entry", published.vkey) is None
    assert go_program.run("consistency", published.consistency, published.old, published.vkey) is not None
    changed = published.consistency.read_bytes().replace(b"old ", b"old 1", 1)
    (tmp_path / "consistency").write_bytes(changed)
    assert go_program.run("consistency", tmp_path / "consistency", published.old, published.vkey) is None


def test_our_verifier_verifies_our_proofs(published: Published) -> None:
    from subs_verifier import parse_consistency, parse_inclusion, policy_of_key

    policy = policy_of_key(published.vkey)
    for proof, entry in published.inclusion:
        parse_inclusion(proof.read_bytes()).verify(entry.read_bytes(), policy)
    parse_consistency(published.consistency.read_bytes()).verify(published.old.read_bytes(), policy)
