"""The documentation drawn from the registry: complete, and the same as what stands in docs/."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from subscription_services.access import operations_document, roles_document
from subscription_services.access.documents import actors
from subscription_services.access.examples import example
from subscription_services.access.failures import failures
from subscription_services.kernel.operations import Registry

from .house import registry

DOCS = Path(__file__).parents[2] / "docs"
HOUSE: Registry = registry()


@pytest.mark.parametrize(
    ("name", "text"), [("operations.md", operations_document(HOUSE)), ("roles.md", roles_document(HOUSE))]
)
def test_what_stands_in_docs_is_what_the_registry_says(name: str, text: str) -> None:
    assert (DOCS / name).read_text("utf-8") == text, "run `subs document`"


def test_every_operation_is_described_once_with_all_its_fields() -> None:
    text = operations_document(HOUSE)
    for item in HOUSE:
        assert text.count(f"\n### {item.name}\n") == 1
        part = text.partition(f"\n### {item.name}\n")[2].partition("\n### ")[0]
        assert item.summary in part
        for field in (*item.request.__struct_fields__, *getattr(item.answer, "__struct_fields__", ())):
            assert f"| {field} |" in part, f"{item.name}.{field}"
        for need in item.needs:
            assert need.name in part


def test_every_operation_has_a_row_with_a_cell_for_every_kind_of_actor() -> None:
    lines = roles_document(HOUSE).splitlines()
    for item in HOUSE:
        (row,) = [line for line in lines if line.startswith(f"| [{item.name}](")]
        assert row.count(" | ") == len(actors())


def test_failures_are_read_from_the_source() -> None:
    known = {item.name: {error.code for error in failures(item)} for item in HOUSE}
    assert {"already-bootstrapped"} <= known["access.bootstrap"]
    assert {"last-administrator", "grant-ended", "not-found"} <= known["access.end_grant"]
    grant_role = known["access.grant_role"]
    assert {"not-to-oneself", "role-held", "not-a-team-member", "step-up-needed", "refused"} <= grant_role
    assert "last-administrator" not in grant_role


def test_there_is_an_example_of_every_request() -> None:
    for item in HOUSE:
        msgspec.convert(example(item.request), item.request)
