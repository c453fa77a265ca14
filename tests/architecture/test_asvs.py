"""docs/asvs.md answers every requirement that it has to, and what it points to is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from subscription_services import app
from subscription_services.kernel.actors import Role, Subscriber, TeamMember

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "subscription_services"
DOCUMENT = ROOT / "docs" / "asvs.md"
# chapter and section -> how many requirements of levels 1 and 2 it has; they come first, so they are numbered from 1
UP_TO_LEVEL_2 = {
    "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.7": 0, "6.8": 4,
    "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2,
    "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
    "9.1": 3, "9.2": 4,
    "10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3,
}  # fmt: skip
LEVEL_3 = {
    "6.3.7", "6.3.8", "6.4.6", "6.5.6", "7.5.3", "8.1.3", "8.1.4", "8.2.4", "8.3.2", "8.3.3", "8.4.2",
}  # fmt: skip
WANTED = LEVEL_3 | {f"{part}.{n}" for part, count in UP_TO_LEVEL_2.items() for n in range(1, count + 1)}
ANSWERS = {"met", "partly", "not met", "does not apply"}
MARK = "TODO-merge:"
_ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([^|]+) \| (.+) \|$", re.MULTILINE)
_REFERENCE = re.compile(r"`([\w./-]+\.(?:py|md|html|toml|ini))(?:::(\w+))?`")


def rows() -> list[tuple[str, str, str]]:
    """Id, answer and reasons of every row."""
    return [(row[1], row[2].strip(), row[3]) for row in _ROW.finditer(DOCUMENT.read_text("utf-8"))]


def paragraphs() -> list[str]:
    """Paragraphs, and rows of tables."""
    return re.split(r"\n\n|\n(?=\|)", DOCUMENT.read_text("utf-8"))


def test_every_requirement_is_answered_once() -> None:
    ids = [identifier for identifier, _, _ in rows()]
    assert sorted(WANTED - set(ids)) == [], "without an answer"
    assert sorted(set(ids) - WANTED) == [], "no requirement of these chapters and levels"
    assert len(ids) == len(set(ids))


def test_every_answer_is_one_of_four_and_says_more_than_that() -> None:
    assert [row for row in rows() if row[1] not in ANSWERS] == []
    # what is met says where
    unfounded = [
        i for i, answer, why in rows() if answer == "met" and not _REFERENCE.search(why) and "above" not in why
    ]
    assert unfounded == []


def test_what_the_rows_point_to_is_there() -> None:
    missing = []
    for paragraph in paragraphs():
        settled, _, _ = paragraph.partition(MARK)
        missing += [f"{path}::{name}" for path, name in _REFERENCE.findall(settled) if not exists(path, name)]
    assert missing == []


def test_what_was_waited_for_and_is_there_says_so() -> None:
    done = []
    for paragraph in paragraphs():
        _, marked, awaited = paragraph.partition(f"{MARK} ")
        expected = _REFERENCE.findall(awaited)
        if marked and expected and all(exists(path, name) for path, name in expected):
            done.append(paragraph[:60])
    assert done == [], f"it is there: look at the answer again and take {MARK} out"


def test_no_role_can_choose_a_password() -> None:
    """ASVS 6.4.6: for an operation on somebody else, no request of the team holds a password."""
    own = {id(Subscriber.own), id(TeamMember.own)}
    theirs = [
        item.name for item in app.OPERATIONS
        if any(isinstance(rule, Role) for rule in item.by) and not any(id(rule) in own for rule in item.by)
        and any("password" in name for name in item.request.__struct_fields__)
    ]  # fmt: skip
    assert theirs == []


@pytest.mark.parametrize(
    ("path", "name", "there"),
    [
        ("tests/architecture/test_asvs.py", "test_every_requirement_is_answered_once", True),
        ("tests/architecture/test_asvs.py", "test_nothing", False),
        ("tests/architecture/test_absent.py", "", False),
        ("identity/passwords.py", "", True),
        ("docs/asvs.md", "", True),
    ],
)
def test_a_reference_is_looked_up(path: str, name: str, there: bool) -> None:
    assert exists(path, name) is there


def exists(path: str, name: str = "") -> bool:
    """Whether the file is in the repository or the package, and has that test."""
    for base in (ROOT, SOURCE):
        if (base / path).is_file():
            return not name or name in _functions(base / path)
    return False


@cache
def _functions(path: Path) -> frozenset[str]:
    return frozenset(
        node.name for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )  # fmt: skip
