"""The verifier shares nothing with the server, and needs `cryptography` alone."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import subs_verifier

HOME = Path(subs_verifier.__file__).parent.parent
SOURCES = sorted(HOME.rglob("subs_verifier/**/*.py"))


def imported(source: Path) -> set[str]:
    names = set()
    for found in ast.walk(ast.parse(source.read_text())):
        if isinstance(found, ast.Import):
            names |= {item.name.partition(".")[0] for item in found.names}
        elif isinstance(found, ast.ImportFrom) and found.level == 0 and found.module:
            names.add(found.module.partition(".")[0])
    return names


def test_it_imports_the_standard_library_and_cryptography() -> None:
    assert len(SOURCES) > 10
    others = {source.name: imported(source) - sys.stdlib_module_names for source in SOURCES}
    assert {name: found - {"cryptography", "subs_verifier"} for name, found in others.items() if found} == {
        name: set() for name, found in others.items() if found
    }


def test_it_declares_what_it_needs() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == ["cryptography"]
    assert set(project["scripts"]) == {"subs-verify", "subs-witness"}


def test_it_runs_without_the_server_in_reach() -> None:
    code = "import sys; from subs_verifier.witness import cli; assert 'subscription_services' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(HOME)}, check=True, timeout=60)
