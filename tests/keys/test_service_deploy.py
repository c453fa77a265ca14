"""What `subs run` and `deploy/keys` prepare for the key service: certificates, allow lists, settings."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from subscription_services import app
from subscription_services.kernel.clock import system_clock
from subscription_services.kernel.errors import Invalid, StartError
from subscription_services.keys import DEFAULT_POLICY, KeySettings
from subscription_services.keys.allow import read_allow_list
from subscription_services.keys.apart import CLIENTS, WEB, WORKER, Apart
from subscription_services.keys.certificates import SERVER, Authority, identity_of
from subscription_services.keys.errors import KeyPolicyRefused
from subscription_services.keys.wire import METHODS

DEPLOY = Path(__file__).parents[2] / "deploy" / "keys"


@pytest.fixture
def apart(tmp_path: Path) -> Apart:
    found = Apart(tmp_path, KeySettings())
    found.prepare(system_clock())
    return found


def subs(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUBS_")}
    return subprocess.run(
        [sys.executable, "-m", "subscription_services.cli", *words], env={**environment, "SUBS_DATA": str(folder)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_list_of_one_machine_names_every_caller_and_keeps_the_journal_from_web_processes(apart: Apart) -> None:
    allowed = read_allow_list(apart.allow)
    for name in CLIENTS:
        identity = apart.authority.identity(name)
        for method in METHODS:
            for caller in DEFAULT_POLICY.callers:
                if name == WEB and method in ("drain_journal", "acknowledge"):
                    with pytest.raises(KeyPolicyRefused):
                        allowed.check(identity, method, caller)
                else:
                    allowed.check(identity, method, caller)
    assert apart.authority.identity(SERVER) not in allowed


def test_certificates_are_kept_until_they_end_soon_and_renewed_then(apart: Apart) -> None:
    def held() -> dict[str, bytes]:
        return {name: apart.files(name).certificate.read_bytes() for name in (SERVER, *CLIENTS)}

    before, authority = held(), apart.authority.certificate.read_bytes()
    apart.prepare(system_clock() + timedelta(days=59))
    assert held() == before
    apart.prepare(system_clock() + timedelta(days=61))
    assert all(held()[name] != before[name] for name in before)
    assert apart.authority.certificate.read_bytes() == authority
    assert [path for path in apart.authority.directory.iterdir() if path.stat().st_mode & 0o777 != 0o600] == []


def test_a_spoilt_certificate_is_made_again_and_a_spoilt_authority_is_said(apart: Apart) -> None:
    files = apart.files(WEB)
    files.certificate.write_bytes(apart.files(WORKER).certificate.read_bytes())
    apart.prepare(system_clock())
    assert identity_of(x509.load_pem_x509_certificate(files.certificate.read_bytes())) == "spiffe://subs.internal/web"
    files.key.chmod(0o644)
    apart.prepare(system_clock())
    assert files.key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StartError, match="out of date"):
        apart.prepare(system_clock() + timedelta(days=3640))
    (apart.authority.directory / "authority.key").write_bytes(b"x")
    with pytest.raises(StartError, match="damaged"):
        apart.prepare(system_clock())
    (apart.authority.directory / "authority.key").unlink()
    with pytest.raises(StartError, match=r"authority\.key cannot be read"):
        apart.prepare(system_clock())


def test_an_address_is_believed_only_while_its_process_lives(apart: Apart) -> None:
    assert apart.running() == ""
    apart.announce("127.0.0.1:1")
    assert apart.running() == "127.0.0.1:1"
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    running = apart.authority.directory / "running.json"
    running.write_text(running.read_text().replace(str(os.getpid()), str(ended.pid)))
    assert apart.running() == ""
    running.write_text("{")
    with pytest.raises(StartError, match=r"running\.json"):
        apart.running()
    apart.withdraw()
    assert apart.running() == ""


@pytest.mark.parametrize("name", ["", "../x", "Web", "a b", "-a", "a" * 64])
def test_a_name_that_could_not_stand_in_an_identity_is_refused(tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path, "d")
    authority.prepare(system_clock())
    with pytest.raises(Invalid):
        authority.issue(name, system_clock())


def test_a_certificate_is_issued_from_the_command_line(tmp_path: Path) -> None:
    made = subs(
        tmp_path, "keys", "issue-certificate", "web-2", "--host", "web-2.example.internal", "--host", "10.0.0.7"
    )
    assert made.returncode == 0, made.stderr
    assert "spiffe://subs.internal/web-2" in made.stdout
    variables = dict(line.split("=", 1) for line in made.stdout.splitlines() if line.startswith("SUBS_"))
    assert all(Path(path).is_file() for path in variables.values())
    app.read_settings(variables)
    certificate = x509.load_pem_x509_certificate(Path(variables["SUBS_KEYS_CERTIFICATE"]).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["web-2.example.internal"]
    for words, says in (("keys",), "--server"), (("other", "--server"), "named keys"), (("No Name",), "cannot name"):
        refused = subs(tmp_path, "keys", "issue-certificate", *words)
        assert (refused.returncode, says in refused.stderr) == (2, True), refused.stderr


def test_the_example_of_an_allow_list_fits_this_program() -> None:
    allowed = read_allow_list(DEPLOY / "allow.toml")
    assert len(allowed) == 3
    for method in METHODS:
        allowed.check("spiffe://subs.internal/worker-1", method, "ledger")
    allowed.check("spiffe://subs.internal/web-1", "open", "identity")
    with pytest.raises(KeyPolicyRefused):
        allowed.check("spiffe://subs.internal/web-1", "acknowledge", "ledger")


def test_the_unit_sets_what_the_program_knows() -> None:
    lines = (DEPLOY / "subs-keys.service").read_text().splitlines()
    variables = dict(
        line.removeprefix("Environment=").split("=", 1) for line in lines if line.startswith("Environment=")
    )
    settings = app.read_settings(variables).of(KeySettings)
    assert all((settings.certificate, settings.certificate_key, settings.authority, settings.allow))
    assert not settings.service
