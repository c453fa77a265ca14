"""A stretch of the log as one file: verified by a program of its own, sealed at rest, gone after a day."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from subscription_services.access import export_making
from subscription_services.access.export_model import ExportForm, ExportState
from subscription_services.access.operations.log_exports import (
    ExportLog,
    ExportUnmasked,
    LogExport,
    ReadExport,
    RecordPart,
)
from subscription_services.access.operations.people import People
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.errors import ApprovalNeeded, Conflict, NotFound
from subscription_services.ledger import archive
from subscription_services.ledger.note import verifier_key
from subscription_services.ledger.sequencer import sequence
from subscription_services.testing import World

from .cases import approved

VERIFIER = Path(__file__).parents[2] / "verifier"


@pytest.fixture
def auditor(world: World) -> TeamMember:
    return world.team(Role.AUDITOR)


def busy(world: World, who: TeamMember, count: int) -> None:
    for _ in range(count):
        world.clock.advance(seconds=1)
        world.do("access.people", who, People())
    world.clock.advance(seconds=1)


def sequenced(world: World) -> None:
    world.run(sequence(world.house.store, world.house.log, world.clock))


def made(world: World, who: TeamMember, request: ExportLog) -> LogExport:
    """Ask for an export and let the jobs make it."""
    operation = "access.export_log_unmasked" if isinstance(request, ExportUnmasked) else "access.export_log"
    asked: LogExport = world.do(operation, who, request)
    sequenced(world)
    world.run_jobs()
    found: LogExport = world.do("access.log_export", who, ReadExport(asked.id))
    assert found.state is ExportState.READY
    return found


def folder(world: World) -> Path:
    from subscription_services.kernel.settings import HouseSettings

    return world.house.settings.of(HouseSettings).data_path / "exports"


def downloaded(world: World, export: LogExport) -> bytes:
    async def collect() -> bytes:
        keys = world.house.ring.for_caller("access")
        return b"".join([part async for part in export_making.contents(keys, folder(world), export)])

    found: bytes = world.run(collect())
    assert len(found) == export.bytes
    return found


def members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        return {item.name: tar.extractfile(item).read() for item in tar}  # type: ignore[union-attr]


def verifier(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(VERIFIER)}
    command = [sys.executable, "-m", "subs_verifier.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_every_entry_is_verified_by_the_independent_verifier(world: World, auditor: TeamMember, tmp_path: Path) -> None:
    busy(world, auditor, 5)
    export = made(world, auditor, ExportLog(action="access.people"))
    files = members(downloaded(world, export))
    entries = files["entries/000000.jsonl"].splitlines()
    assert export.events == len(entries) == 5
    key = files["verifier-key"].decode().strip()
    assert key == verifier_key(world.house.log.verifier())
    proofs = [name for name in files if name.startswith("proofs/")]
    assert len(proofs) == 5
    for name in proofs[:2]:
        (tmp_path / "one").write_bytes(files[name])
        answer = verifier("inclusion", str(tmp_path / "one"), "--key", key)
        assert answer.returncode == 3, answer.stderr  # all agrees, nobody cosigned
        assert f"included: entry {int(name[7:19])}" in answer.stdout
    (tmp_path / "one").write_bytes(files[proofs[0]])
    (tmp_path / "other").write_bytes(entries[1])
    assert (
        verifier("inclusion", str(tmp_path / "one"), "--entry", str(tmp_path / "other"), "--key", key).returncode == 1
    )
    (tmp_path / "head").write_bytes(files["checkpoint"])
    assert verifier("checkpoint", str(tmp_path / "head"), "--key", key).returncode == 3


def test_the_archive_says_what_it_is_and_its_sums_are_right(world: World, auditor: TeamMember) -> None:
    busy(world, auditor, 2)
    export = made(world, auditor, ExportLog(action="access.", actor=auditor.id))
    files = members(downloaded(world, export))
    lines = [line.split("  ") for line in files["SHA256SUMS"].decode().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert set(sums) == {"entries/000000.jsonl", "checkpoint", "verifier-key", "manifest.json", "README.md"}
    assert all(hashlib.sha256(files[name]).hexdigest() == digest for name, digest in sums.items())
    manifest = json.loads(files["manifest.json"])
    assert (manifest["events"], manifest["personal_fields"], manifest["made_for"]) == (2, "sealed", auditor.id)
    assert manifest["wanted"]["action"] == "access."
    assert b"127.0.0.9" not in b"".join(files.values())


def test_large_ones_are_made_part_by_part_and_what_is_written_meanwhile_is_not_in_them(
    world: World, auditor: TeamMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "PART_EVENTS", 3)
    monkeypatch.setattr(archive, "LARGEST_PAGE", 3)
    busy(world, auditor, 8)
    asked: LogExport = world.do("access.export_log", auditor, ExportLog(action="access.people"))
    sequenced(world)
    world.run_jobs(1)
    assert world.do("access.log_export", auditor, ReadExport(asked.id)).parts == 1
    busy(world, auditor, 2)
    sequenced(world)
    world.run_jobs()
    export: LogExport = world.do("access.log_export", auditor, ReadExport(asked.id))
    files = members(downloaded(world, export))
    parts = [name for name in files if name.startswith("entries/")]
    assert (export.parts, export.events, len(parts)) == (4, 8, 3)
    entries = [json.loads(line) for name in sorted(parts) for line in files[name].splitlines()]
    times = [entry["event"]["at"] for entry in entries]
    assert times == sorted(times)
    assert len(set(times)) == 8
    assert len([name for name in files if name.startswith("proofs/")]) == 8


def test_a_part_that_is_made_again_after_a_crash_is_the_same(
    world: World, auditor: TeamMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy(world, auditor, 3)
    asked: LogExport = world.do("access.export_log", auditor, ExportLog(action="access.people"))
    sequenced(world)

    async def crash(*arguments: Any, **named: Any) -> None:
        raise RuntimeError("the machine went down")

    with monkeypatch.context() as patch:
        patch.setattr(export_making, "perform", crash)
        world.run_jobs(1)
    assert [path.name for path in folder(world).iterdir()] == [f"{asked.id}.000000"]
    world.clock.advance(seconds=120)
    world.run_jobs()
    export: LogExport = world.do("access.log_export", auditor, ReadExport(asked.id))
    assert len(members(downloaded(world, export))["entries/000000.jsonl"].splitlines()) == 3


def test_what_is_on_the_disk_is_sealed_and_bound_to_its_place(world: World, auditor: TeamMember) -> None:
    busy(world, auditor, 2)
    export = made(world, auditor, ExportLog())
    paths = sorted(folder(world).iterdir())
    assert [path.name for path in paths] == [f"{export.id}.{number:06d}" for number in range(export.parts)]
    for path in paths:
        assert path.stat().st_mode & 0o077 == 0
        stored = path.read_bytes()
        assert b"access.people" not in stored
        assert gzip.compress(b"")[:3] not in stored[:64]
    first, second = (path.read_bytes() for path in paths[:2])
    paths[0].write_bytes(second)
    paths[1].write_bytes(first)
    with pytest.raises(Exception, match=r"(?i)seal|broken|open"):
        downloaded(world, export)


def test_after_a_day_it_is_gone(world: World, auditor: TeamMember) -> None:
    export = made(world, auditor, ExportLog())
    world.clock.advance(hours=1)
    keep = made(world, world.team(Role.AUDITOR), ExportLog())
    world.clock.advance(hours=23, seconds=1)
    assert world.run(export_making.delete_over(world.house.kernel, folder(world))) == 1
    assert {path.name.partition(".")[0] for path in folder(world).iterdir()} == {keep.id}
    left: LogExport = world.do("access.log_export", world.team(Role.SECURITY), ReadExport(export.id))
    assert (left.state, left.events) == (ExportState.DELETED, export.events)
    assert world.events("access.delete_log_export")[0].object == export.id


def test_only_who_asked_reads_it_and_that_is_recorded(world: World, auditor: TeamMember) -> None:
    export = made(world, auditor, ExportLog())
    assert world.do("access.download_log_export", auditor, ReadExport(export.id)).id == export.id
    with pytest.raises(NotFound):
        world.do("access.download_log_export", world.team(Role.SECURITY), ReadExport(export.id))
    event = world.events("access.download_log_export")[0]
    assert (event.actor, event.object) == (auditor.id, export.id)


def test_ocsf_comes_as_lines(world: World, auditor: TeamMember) -> None:
    busy(world, auditor, 3)
    export = made(world, auditor, ExportLog(action="access.people", form=ExportForm.OCSF))
    lines = [json.loads(line) for line in gzip.decompress(downloaded(world, export)).splitlines()]
    assert [line["class_uid"] for line in lines] == [6003, 6003, 6003]
    assert [line["activity_id"] for line in lines] == [2, 2, 2]


def test_personal_fields_are_opened_only_with_somebody_elses_approval(world: World) -> None:
    boss = world.team(Role.SECURITY)
    busy(world, world.team(Role.AUDITOR), 2)
    request = ExportUnmasked(action="access.people", reason="case 7")
    with pytest.raises(ApprovalNeeded):
        world.do("access.export_log_unmasked", boss, request)
    approved(world, boss, request)
    with pytest.raises(ApprovalNeeded):
        world.do("access.export_log_unmasked", boss, ExportUnmasked(action="identity.", reason="case 7"))
    files = members(downloaded(world, made(world, boss, request)))
    opened = [json.loads(line) for line in files["personal/000000.jsonl"].splitlines()]
    assert [item["address"] for item in opened] == ["127.0.0.9", "127.0.0.9"]
    assert b"127.0.0.9" not in files["entries/000000.jsonl"]


def test_parts_are_recorded_in_turn_and_lead_to_one_tree(world: World, auditor: TeamMember) -> None:
    asked: LogExport = world.do("access.export_log", auditor, ExportLog())
    with pytest.raises(Conflict):
        world.do("access.download_log_export", auditor, ReadExport(asked.id))
    part = {"id": asked.id, "events": 1, "size": 1, "after": "1-x", "note": "n"}
    system = world.system("access.exports")
    world.do("access.record_export_part", system, RecordPart(**part, number=0, tree_size=5))  # type: ignore[arg-type]
    for number, size in ((0, 5), (2, 5), (1, 6)):
        with pytest.raises(Conflict):
            world.do("access.record_export_part", system, RecordPart(**part, number=number, tree_size=size))  # type: ignore[arg-type]


def test_it_waits_until_the_newest_entry_is_signed(world: World, auditor: TeamMember) -> None:
    busy(world, auditor, 1)
    asked: LogExport = world.do("access.export_log", auditor, ExportLog(action="access.people"))
    world.run_jobs(1)
    assert world.do("access.log_export", auditor, ReadExport(asked.id)).parts == 0
    sequenced(world)
    world.clock.advance(seconds=10)
    world.run_jobs()
    found: LogExport = world.do("access.log_export", auditor, ReadExport(asked.id))
    assert (found.state, found.events) == (ExportState.READY, 1)
    assert found.expires_at - found.created_at == timedelta(days=1)
