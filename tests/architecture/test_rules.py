"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .source import SOURCE, modules

# who may open a write transaction, and under which name; everybody else changes things through perform()
WRITERS = {
    "app": {"MIGRATIONS"},
    "kernel.perform": {"PERFORM"},
    "kernel.attempts": {"PERFORM"},
    "kernel.deferred": {"PERFORM"},
    "ledger.sequencer": {"SEQUENCER"},
    "ledger.witnesses": {"SEQUENCER"},
    "jobs.worker": {"OUTBOX"},
    # an operation says who its transaction is; perform() opens it
    "kernel.operations": {"PERFORM"},
    "access.operations.approvals": {"APPROVALS"},
    "storage.postgres": {"PERFORM", "APPROVALS"},
    "storage.counters": {"LIMITS"},
    "testing.world": {"PERFORM"},
}
CLOCKS = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time"),
    ("time", "time_ns"), ("secrets", "token_bytes"), ("secrets", "token_hex"), ("secrets", "token_urlsafe"),
    ("os", "urandom"), ("uuid", "uuid4"), ("uuid", "uuid1"), ("random", "random"), ("random", "randbytes"),
}  # fmt: skip


def test_only_the_closed_list_opens_write_transactions() -> None:
    found: dict[str, set[str]] = {}
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Writer":
                found.setdefault(name, set()).add(node.attr)
    assert {
        name: used - WRITERS.get(name, set()) for name, used in found.items() if used - WRITERS.get(name, set())
    } == {}


def test_nobody_reaches_the_writing_engine() -> None:
    allowed = {"storage.sqlite", "storage.postgres", "storage.migrate"}
    users = {
        name for name, tree in modules() for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "write_engine"
    }  # fmt: skip
    assert users <= allowed


def test_time_and_randomness_come_from_the_kernel() -> None:
    wrong = []
    for name, tree in modules():
        if name.startswith("kernel"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                if isinstance(owner, ast.Name) and (owner.id, node.func.attr) in CLOCKS:
                    wrong.append(f"{name}:{node.lineno}")
    assert wrong == []


def test_files_stay_small_and_are_named_by_what_they_hold() -> None:
    files = [path for path in sorted(SOURCE.rglob("*.py")) if "migrations" not in path.parts]
    long = [f"{path.name} {len(lines)}" for path in files if len(lines := path.read_text().splitlines()) > 420]
    vague = [path.name for path in files if path.stem in ("service", "utils", "helpers", "core", "common", "misc")]
    assert (long, vague) == ([], [])


def test_the_kernel_knows_nothing_of_http() -> None:
    for name, tree in modules():
        if name.split(".")[0] in ("kernel", "storage") or name.endswith((".policy", ".errors", ".operations")):
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom):
                    assert not (node.module or "").startswith(("starlette", "granian", "httpx")), name


@pytest.mark.parametrize("folder", sorted(p.name for p in SOURCE.iterdir() if (p / "__init__.py").exists()))
def test_tests_mirror_the_rooms(folder: str) -> None:
    if folder == "testing":
        return
    tests = Path(__file__).parents[1] / folder
    assert list(tests.glob("test_*.py")), f"tests/{folder} has no tests"


def test_no_address_of_a_package_registry_stands_in_the_locks() -> None:
    for lock in (Path(__file__).parents[2] / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text
        assert "index-url" not in text
