"""The keys of a running installation at the command line: looked at, rotated, backed up, lost and put back."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from tests.stories.running import ROOT, Service, plain_environment, start, unique

pytestmark = [pytest.mark.xdist_group("stories"), pytest.mark.timeout(280)]
PASSWORD = "violet-harbour-lantern-58"


@dataclass
class Operator:
    """The first administrator at a terminal."""

    service: Service
    email: str
    codes: list[str] = field(default_factory=list)
    """Recovery codes: each works once, and at once."""

    def enrol(self) -> None:
        made = self.service.subs("bootstrap", self.email, "Grace Hopper")
        found = re.search(r"token=(\S+)", made.stdout.replace("\n", ""))
        assert found, made.stderr
        with self.service.client() as client:
            session = self._call(client, "identity.enrol", token=found[1], password=PASSWORD)["token"]
            client.headers["authorization"] = f"Bearer {session}"
            secret = self._call(client, "identity.start_totp")["secret"]
            confirmed = self._call(client, "identity.confirm_totp", code=pyotp.TOTP(secret).now())
            self.codes = list(confirmed["codes"])

    def _call(self, client: httpx.Client, name: str, **fields: str) -> Any:
        answer = client.post(f"/api/{name}", json=fields)
        assert answer.is_success, answer.text
        return answer.json()

    def types(self, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """A command of `subs` that asks for password and code; `before` answers what it asks first."""
        return subprocess.run(
            [sys.executable, "-m", "subscription_services.cli", *words], cwd=ROOT, text=True, capture_output=True,
            env=plain_environment() | {"SUBS_CONFIG": str(self.service.config), "COLUMNS": "160"}, timeout=90,
            input="\n".join([*before, PASSWORD, self.codes.pop()]) + "\n", check=False, start_new_session=True,
        )  # fmt: skip


def again(service: Service) -> Service:
    """The same installation, started once more."""
    return start(service.folder)


def test_keys_are_rotated_backed_up_lost_and_put_back(tmp_path: Path) -> None:
    service = start(tmp_path)
    try:
        boss = Operator(service, f"{unique('boss')}@example.org")
        boss.enrol()
        rotated = boss.types("keys", "rotate", "subject", "--email", boss.email)
        assert rotated.returncode == 0, rotated.stderr
        assert "subject has a new version" in rotated.stdout
        made = boss.types("keys", "backup", "--email", boss.email)
        assert made.returncode == 0, made.stderr
        name = re.search(r"keys-\d+T[\d.]+Z\.db", made.stdout)
        assert name, made.stdout
        copy = service.data / "key-backups" / name[0]
    finally:
        service.stop()
    (service.data / "keys" / "keys.db").unlink()
    refused = service.subs("ledger", "verify")
    assert refused.returncode == 2 and "Restore it from its backup" in refused.stderr
    boss.service = service
    restored = boss.types("keys", "restore", "--alone", str(copy), before=("y", boss.email))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "are in place" in restored.stdout
    service = again(service)
    try:
        boss = replace(boss, service=service)
        listed = boss.types("keys", "list", "--callers", "--email", boss.email)
        assert re.search(r"subject\W+2\W", listed.stdout), listed.stdout + listed.stderr
    finally:
        service.stop()
