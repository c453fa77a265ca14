"""Signed-in JSON reads over HTTPS: our whole service, each read in its log, against fastapi-users and better-auth.

In turns on the same machine, with the same certificate, TLS 1.3, as many processes, wrk with 32 connections, and
sessions that can be ended on both sides (no JWT, no cache of the session in a cookie). What cannot be installed here is
left out, and said so. django-allauth stands in `bench.web`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import web
from bench.load import require_wrk, running
from bench.measure import Ratio, from_pairs
from sandbox.loopback import choose_port

HERE = Path(__file__).parent
ROOT = HERE.parent
PYTHON = ROOT / ".venv-bench"
NODE = ROOT / "build" / "better-auth"
PACKAGES = ("better-auth", "better-sqlite3@12")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", str(web.ROUNDS)))


def run() -> list[Ratio]:
    """The JSON read against each baseline that can be had."""
    require_wrk()
    found = []
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
        ours = web._ours(Path(folder))
        for name, make, goal in (("fastapi-users", _fastapi_users, 10), ("better-auth", _better_auth, 6)):
            try:
                theirs = make(Path(folder), ours.certificate)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{name} is left out: {_why(error)}", file=sys.stderr)
                continue
            pairs = [(ours.rates()["json"], theirs.rates()["json"]) for _ in range(ROUNDS)]
            found.append(from_pairs("signed-in JSON read", f"{name}, signed-in JSON", pairs, goal))
    return found


def _fastapi_users(folder: Path, certificate: Path) -> web.Side:
    """In an environment of its own. Raises OSError, CalledProcessError."""
    python = PYTHON / "bin" / "python"
    ready = PYTHON / "bench.ready"
    if not ready.exists():
        lock = ROOT / "requirements" / "sessions.txt"
        names = ["--require-hashes", "-r", str(lock)] if lock.exists() else ["-r", str(lock.with_suffix(".in"))]
        _quietly([sys.executable, "-m", "venv", str(PYTHON)], ROOT)
        _quietly([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *names], ROOT)
        ready.touch()
    return _side(folder, certificate, [str(python), "fastapi_users_site.py"], HERE)


def _better_auth(folder: Path, certificate: Path) -> web.Side:
    """In a folder that is not kept. Raises OSError, CalledProcessError."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise FileNotFoundError(f"{program} is not installed")
    ready = NODE / "bench.ready"
    if not ready.exists():
        NODE.mkdir(parents=True, exist_ok=True)
        (NODE / "package.json").write_text('{"private": true}\n')
        _quietly(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *PACKAGES], NODE)
        ready.touch()
    site = NODE / "better_auth_site.mjs"
    site.write_bytes((HERE / site.name).read_bytes())
    return _side(folder, certificate, ["node", site.name], NODE)


def _side(folder: Path, certificate: Path, command: list[str], where: Path) -> web.Side:
    """`command` makes the person and prints the cookie; with a port and so on it serves."""
    port = choose_port("127.0.0.1", 0)
    base = f"https://localhost:{port}"
    environment = os.environ | {"BENCH_FOLDER": str(folder), "BENCH_URL": base, "NODE_ENV": "production"}
    made = subprocess.run(command, env=environment, cwd=where, check=True, capture_output=True, text=True)
    key = next(certificate.parent.glob("*key*"))
    serve = ["env", "-C", str(where), *command, str(port), str(certificate), str(key), str(web.PROCESSES)]
    start: Callable[[], object] = partial(running, serve, environment, f"{base}/me", certificate)
    places = {"json": "/me"}
    return web.Side(start, base, made.stdout.strip().splitlines()[-1], places, certificate)  # type: ignore[arg-type]


def _quietly(command: list[str], where: Path) -> None:
    print(f"installing for the baseline: {' '.join(command[:4])} ...", file=sys.stderr)
    subprocess.run(command, cwd=where, check=True, capture_output=True, text=True)


def _why(error: Exception) -> str:
    said = getattr(error, "stderr", "") or str(error)
    return said.strip().splitlines()[-1] if said.strip() else type(error).__name__
