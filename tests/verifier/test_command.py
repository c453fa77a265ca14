"""`subs-verify` as people run it: what it says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from subs_verifier.cli import main
from tests.verifier.building import (
    LOG,
    WITNESSES,
    checkpoint,
    consistency_file,
    entries_of,
    inclusion_file,
    leaf,
    signer,
    write_folder,
)

ENTRIES = entries_of(300)
LEAVES = [leaf(entry) for entry in ENTRIES]
WITNESSED = checkpoint(LEAVES, LOG, WITNESSES[:2])
RUN = "run_019ab"
EVENT = {
    "id": "evt_1", "at": "2026-11-24T10:00:00.5Z", "action": "trust.record_run", "outcome": "success",
    "actor_kind": "system", "actor": "trust.checks", "object": RUN,
    "details": {
        "promise": "transit.tls13", "verdict": "could not check", "finding": "The door was shut.", "ms": 3,
        "evidence.connections": 12, "evidence.protocol": "TLSv1.3",
    },
}  # fmt: skip
ROW = {
    "id": "transit.tls13", "state": "could_not_check", "checked_at": "2026-11-24T10:00:00.500000+00:00",
    "finding": "The door was shut.", "evidence": {"protocol": "TLSv1.3", "connections": 12},
    "event": {"action": "trust.record_run", "object": RUN},
}  # fmt: skip


class Shell:
    """Runs the command with files of this test, trusting the policy."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.place, self._capsys = place, capsys
        witnesses = "".join(f"witness W{number} {item.vkey}\n" for number, item in enumerate(WITNESSES))
        self.write("policy", f"log {LOG.vkey}\n{witnesses}group all 2 W0 W1 W2\nquorum all\n".encode())

    def write(self, name: str, data: bytes) -> str:
        (self.place / name).write_bytes(data)
        return str(self.place / name)

    def run(self, *words: str, key: str = "") -> tuple[int, str]:
        trust = ["--key", key] if key else ["--policy", str(self.place / "policy")]
        code = main([words[0], *trust, *words[1:]])
        said = self._capsys.readouterr()
        return code, said.out + said.err


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_a_checkpoint(shell: Shell) -> None:
    code, said = shell.run("checkpoint", shell.write("c", WITNESSED))
    assert code == 0
    assert "log: log.example/audit\nsize: 300\n" in said
    assert said.count("witnessed by: witness.example/w") == 2
    assert said.endswith("\nproved\n")


def test_without_witnesses_it_says_so(shell: Shell) -> None:
    alone = shell.write("c", checkpoint(LEAVES))
    code, said = shell.run("checkpoint", alone, key=LOG.vkey)
    assert (code, "proved" in said) == (3, False)
    assert "unwitnessed: " in said
    code, said = shell.run("checkpoint", alone)
    assert code == 1
    assert "refused: the policy demands 'all' as witness; only nobody cosigned" in said


def test_old_cosignatures_do_not_count_where_age_matters(shell: Shell) -> None:
    code, said = shell.run("checkpoint", "--max-age", "60", shell.write("c", WITNESSED))
    assert (code, "only nobody cosigned" in said) == (1, True)


def test_an_inclusion_proof(shell: Shell) -> None:
    proof = shell.write("p", inclusion_file(77, LEAVES, WITNESSED))
    assert shell.run("inclusion", proof, "--entry", shell.write("e", ENTRIES[77]))[0] == 0
    assert shell.run("inclusion", proof, "--entry", shell.write("e", ENTRIES[78]))[0] == 1
    assert shell.run("inclusion", proof)[0] == 1
    carried = shell.write("p", inclusion_file(77, LEAVES, WITNESSED, ENTRIES[77]))
    code, said = shell.run("inclusion", carried)
    assert (code, f"included: entry 77, {len(ENTRIES[77])} bytes" in said) == (0, True)


def test_a_consistency_proof(shell: Shell) -> None:
    for size in (0, 1, 256, 299, 300):
        old = shell.write("old", checkpoint(LEAVES[:size]))
        code, said = shell.run("consistency", old, shell.write("p", consistency_file(size, LEAVES, WITNESSED)))
        assert (code, f"the first {size} entries are unchanged, {300 - size} were added" in said) == (0, True)
    forked = shell.write("old", checkpoint([leaf(b"x"), *LEAVES[1:299]]))
    code, said = shell.run("consistency", forked, shell.write("p", consistency_file(299, LEAVES, WITNESSED)))
    assert (code, "does not lead to the old root" in said) == (1, True)
    assert shell.run("consistency", shell.write("old", checkpoint(LEAVES[:7])), str(shell.place / "p"))[0] == 1


def test_a_folder(shell: Shell) -> None:
    place = write_folder(shell.place / "log", ENTRIES, WITNESSED)
    code, said = shell.run("folder", str(place), "--since", shell.write("seen", checkpoint(LEAVES[:50])))
    assert code == 0
    assert "folder: 300 entries hashed, 3 tiles worked out again" in said
    assert "extends: the older checkpoint of 50 entries" in said
    (place / "tile/entries/000").write_bytes(b"")
    code, said = shell.run("folder", str(place))
    assert (code, said.startswith("refused: tile/entries/000 ends within entry 0")) == (1, True)
    assert shell.run("folder", str(shell.place / "nowhere"))[0] == 2


def statement(event: dict[str, Any]) -> bytes:
    entry = json.dumps({"counter": 1, "event": event, "v": 1, "writer": "wri_1"}).encode()
    leaves = [*LEAVES, leaf(entry)]
    return inclusion_file(300, leaves, checkpoint(leaves, LOG, WITNESSES[:2]), entry)


def test_a_statement_of_the_security_page(shell: Shell) -> None:
    proof = shell.write("run.tlog-proof", statement(EVENT))
    status = shell.write("security.json", json.dumps({"promises": [{"id": "x"}, ROW]}).encode())
    code, said = shell.run("statement", proof, "--status", status)
    assert code == 0, said
    assert "statement: transit.tls13 was could not check on 2026-11-24T10:00:00.500000+00:00 (entry 300)" in said
    assert (
        "finding: The door was shut.\n  connections: 12\n  protocol: TLSv1.3\nstatus: the page states the same" in said
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "kept"}, {"finding": "All is well."}, {"evidence": {}}, {"checked_at": "2026-11-24T10:00:01Z"},
        {"checked_at": None}, {"event": {"action": "trust.record_run", "object": "run_other"}}, {"event": None},
        {"id": "transit.other"},
    ],
)  # fmt: skip
def test_a_page_that_states_otherwise(shell: Shell, changed: dict[str, Any]) -> None:
    proof = shell.write("run.tlog-proof", statement(EVENT))
    status = shell.write("security.json", json.dumps({"promises": [ROW | changed]}).encode())
    assert shell.run("statement", proof, "--status", status)[0] == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"action": "identity.sign_in"}, {"actor_kind": "team"}, {"outcome": "refused"}, {"details": None},
        {"details": {**EVENT["details"], "verdict": "splendid"}}, {"at": "yesterday"}, {"object": 7},  # type: ignore[dict-item]
    ],
)  # fmt: skip
def test_an_entry_that_no_check_left(shell: Shell, changed: dict[str, Any]) -> None:
    assert shell.run("statement", shell.write("p", statement(EVENT | changed)))[0] == 1


def test_whom_to_trust_must_be_said(shell: Shell) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["checkpoint", "x"])
    assert ended.value.code == 2
    assert shell.run("checkpoint", "x", key="nonsense")[0] == 2
    assert shell.run("checkpoint", str(shell.place / "nowhere"))[0] == 2
    code, said = shell.run("checkpoint", shell.write("c", WITNESSED), key=signer(LOG.name, seed=1).vkey)
    assert (code, "refused: no trusted key signed this note" in said) == (1, True)


def test_nothing_that_a_terminal_would_obey_is_printed(shell: Shell) -> None:
    details = {**EVENT["details"], "finding": "\x1b[2Jgone\u202e"}  # type: ignore[dict-item]
    code, said = shell.run("statement", shell.write("p", statement(EVENT | {"details": details})))
    assert (code, "\x1b" in said, "\u202e" in said) == (0, False, False)
