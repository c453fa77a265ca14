"""What takes two people by its kind asks for approval, and there is no second way to what it does."""

from __future__ import annotations

import ast

import pytest

from subscription_services import app
from subscription_services.access.duties import ALONE, KINDS, kind_of, lacking
from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import DomainError, Refusal
from subscription_services.kernel.needs import ApprovalsNeeded
from subscription_services.kernel.operations import Registry
from subscription_services.testing import World

from .source import modules
from .test_registry import CASES

APPROVED = sorted(item.name for item in app.OPERATIONS if any(isinstance(need, ApprovalsNeeded) for need in item.needs))
REACHED = {
    # what carries it out, and who may call it: each of these asks perform() first, or is the operation itself
    "put_in_place": {"commands.key_restore"},
    "move_root": {"commands.key_roots"},
    "discard": {"keys.operations.reencryption", "keys.sealing"},
    "restrict": {"keys.operations.restrictions", "keys.sealing"},
    "retire": {"keys.operations.rotation", "keys.sealing"},
}
ROWS = {
    # rows that give power, by the name under which modules know the table
    "grant": {"access.operations.people"},
    "permit": {"access.operations.deployments"},
    "rule": {"access.operations.tasks"},
    "approval": {"access.operations.approvals"},
    "asked": {"access.operations.approvals"},
    "use": {"access.approvals"},
}
LAID = "testing."


def test_each_kind_asks_for_approval_or_says_why_not() -> None:
    assert lacking(app.OPERATIONS) == []
    of_a_kind = {item.name for item in app.OPERATIONS if kind_of(item)}
    assert set(ALONE) <= of_a_kind  # no reason for what is not there
    assert not set(ALONE) & set(APPROVED)  # none for what asks anyway


def test_every_kind_is_there() -> None:
    assert {kind_of(item) for item in app.OPERATIONS if item.name in APPROVED} >= set(KINDS)


def test_a_new_one_that_forgets_it_is_found() -> None:
    from dataclasses import replace

    forgetful = next(item for item in app.OPERATIONS if item.name == "keys.destroy_version")
    assert lacking([replace(forgetful, needs=(), name="backups.restore_everything")]) == ["backups.restore_everything"]


def test_what_is_behind_them_is_called_by_nobody_else() -> None:
    wrong = []
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                allowed = REACHED.get(node.func.attr)
                if node.func.attr == "discard" and len(node.args) < 2:
                    continue  # of a set
                if allowed is not None and name not in allowed and not name.startswith("keys."):
                    wrong.append(f"{name}:{node.lineno} {node.func.attr}")
    assert wrong == []


def test_rows_that_give_power_are_written_by_their_operation_alone() -> None:
    wrong, seen = [], set()
    for name, tree in modules():
        if name.startswith(LAID):
            continue
        for node in ast.walk(tree):
            for table in _inserted(node):
                seen.add(table)
                if name.startswith("access.") and table in ROWS and name not in ROWS[table]:
                    wrong.append(f"{name}:{node.lineno} {table}")  # type: ignore[attr-defined]
    assert wrong == []
    assert set(ROWS) <= seen  # or this looks past them


def test_commands_that_do_it_offline_ask_first() -> None:
    """Each function of a command that carries something out calls `allow`, or the operation of the terminal."""
    found = {}
    for name, tree in modules():
        if name in ("commands.key_roots", "commands.key_restore"):
            found[name] = {
                node.name for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef) and node.name in ("create", "move", "restore")
                and any(_called(each) == "allow" for each in ast.walk(node))
            }  # fmt: skip
    assert found == {"commands.key_roots": {"create", "move"}, "commands.key_restore": {"restore"}}


def test_nobody_runs_an_operation_beside_perform() -> None:
    runs = {
        name for name, tree in modules() for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "run"
        and isinstance(node.func.value, ast.Name) and node.func.value.id in {"operation", *_identifiers()}
    }  # fmt: skip
    assert runs == {"kernel.perform"}


@pytest.mark.parametrize("name", APPROVED)
def test_one_approval_is_one_run_and_the_service_itself_has_none(world: World, name: str) -> None:
    actor, request = CASES[name].allow(world)
    with pytest.raises(Refusal):
        world.do(name, System("jobs.anything"), request)
    world.do(name, actor, request)
    with pytest.raises(DomainError):
        world.do(name, actor, request)
    assert len([event for event in world.events(name) if event.outcome == "success"]) == 1


def _called(node: ast.AST) -> str:
    return str(getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""


def _inserted(node: ast.AST) -> list[str]:
    """Names of tables that a call inserts into: insert(t), insert_row(tx, t, ...), t.insert()."""
    if not isinstance(node, ast.Call):
        return []
    called = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if called == "insert_row" and len(node.args) > 1:
        return [_last(node.args[1])]
    if called == "insert":
        return [_last(node.args[0]) if node.args else _last(getattr(node.func, "value", node))]
    return []


def _last(node: ast.AST) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _identifiers() -> set[str]:
    return {item.run.__name__ for item in Registry(app.OPERATIONS) if item.name in APPROVED}
