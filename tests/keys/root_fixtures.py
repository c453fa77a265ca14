"""Fixtures of the holders of root keys; imported by the tests that use them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing

from . import root_holders
from .root_holders import Holder

KINDS = ["file", "pkcs11", "aws-kms", "vault"]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holder]:
    if not root_holders.softhsm():
        missing("SoftHSM2 (softhsm2)")
    with root_holders.softhsm_tokens(tmp_path_factory.mktemp("softhsm")) as holder:
        yield holder


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holder]:
    with root_holders.aws(tmp_path_factory.mktemp("aws")) as holder:
        yield holder


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Holder]:
    with root_holders.transit(tmp_path) as holder:
        yield holder


@pytest.fixture
def holder(request: pytest.FixtureRequest, tmp_path: Path) -> Holder:
    """Each kind in turn; parametrize it indirectly with KINDS."""
    kind = str(request.param)
    if kind == "file":
        return Holder("file", tmp_path)
    found = request.getfixturevalue({"pkcs11": "tokens", "aws-kms": "aws", "vault": "vault"}[kind])
    assert isinstance(found, Holder)
    return found
