"""Programs that others wrote, and a folder that our log exported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from subscription_services.kernel.actors import Role
from subscription_services.testing import World
from tests.conftest import missing
from tests.interop import exported

HERE = Path(__file__).parent
HOUSE = HERE.parent.parent
GO_PACKAGES = Path("/usr/share/gocode")
AICS = HOUSE / ".venv-interop" / "bin" / "python"
SIZES = (300, 400)


@dataclass(frozen=True)
class Program:
    """Somebody else's verifier: what it printed, or None where it refused."""

    run: Callable[..., str | None]


def program(command: list[str], environment: dict[str, str]) -> Program:
    def run(*words: str | Path) -> str | None:
        done = subprocess.run(
            [*command, *map(str, words)], capture_output=True, text=True, timeout=120, env=environment, check=False
        )
        return done.stdout if done.returncode == 0 else None

    return Program(run)


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Go's own sumdb packages, from Debian."""
    if shutil.which("go") is None or not (GO_PACKAGES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        missing("Go with golang-golang-x-mod-dev")
    built = tmp_path_factory.mktemp("go") / "verify"
    offline = {
        "GO111MODULE": "off",
        "GOPATH": str(GO_PACKAGES),
        "GOFLAGS": "",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }
    subprocess.run(
        ["go", "build", "-o", str(built), str(HERE / "go" / "verify.go")],
        env=os.environ | offline, check=True, timeout=280,
    )  # fmt: skip
    return program([str(built)], {})


@pytest.fixture(scope="session")
def aics() -> Program:
    """The package aics-tlog in an environment of its own."""
    if not (AICS.parent.parent / "interop.ready").exists():
        missing("aics-tlog (scripts/test_machine.sh makes .venv-interop)")
    return program([str(AICS), "-I", "-B", str(HERE / "aics_verify.py")], {})


@pytest.fixture(scope="session")
def ours() -> Program:
    """Our own verifier as a process."""
    code = "from subs_verifier.cli import main; raise SystemExit(main())"
    return program([sys.executable, "-B", "-c", code], {"PYTHONPATH": str(HOUSE / "verifier")})


@dataclass(frozen=True)
class Published:
    """What a log of two checkpoints handed out."""

    folder: Path
    vkey: str
    size: int
    old: Path
    consistency: Path
    inclusion: list[tuple[Path, Path]]


@pytest.fixture(scope="session")
def published(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """A real house, its log exported."""
    place = tmp_path_factory.mktemp("published")
    shutil.copytree(sqlite_template, place / "data")
    with World.open(place / "data") as world:
        auditor = world.team(Role.AUDITOR)
        events = exported.grow(world, SIZES[0])
        old = exported.checkpoint(world)
        (place / "old").write_bytes(old)
        events += exported.grow(world, SIZES[1])
        exported.export(world, auditor, place / "log")
        (place / "consistency").write_bytes(exported.consistency_file(world, int(old.split(b"\n")[1])))
        proofs = []
        for event in (events[0], events[255], events[-1]):
            proof, entry = exported.inclusion_file(world, event)
            (place / f"{event}.tlog-proof").write_bytes(proof)
            (place / f"{event}.entry").write_bytes(entry)
            proofs.append((place / f"{event}.tlog-proof", place / f"{event}.entry"))
        size = int(exported.checkpoint(world).split(b"\n")[1])
        yield Published(place / "log", exported.vkey(world), size, place / "old", place / "consistency", proofs)
