"""What goes wrong with a root that is elsewhere, and what people are told to do."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from subscription_services.kernel.clock import system_clock
from subscription_services.kernel.errors import KeyUnavailable, SettingsError, StartError
from subscription_services.keys import RootKeyMissing, RootKeyUnsafe
from subscription_services.keys.certificates import Authority
from subscription_services.keys.errors import RootKeyRefused, RootKeyUnreachable
from subscription_services.keys.roots import aws_kms, providers, transit
from subscription_services.keys.roots.address import parse
from subscription_services.keys.roots.choice import create_root, open_root

from . import root_holders
from .root_fixtures import KINDS
from .root_holders import Holder, write_secret
from .transit_server import TransitKey, TransitServer

REMOTE = pytest.mark.parametrize("holder", [kind for kind in KINDS if kind != "file"], indirect=True)


def start(address: str) -> providers.Wrapping:
    return open_root(parse(address), Path("/nonexistent"), os.urandom)


@REMOTE
def test_a_key_that_is_not_there(holder: Holder) -> None:
    gone = {"aws-kms": f"aws-kms:alias/never-made{holder.tail}", "pkcs11": f"pkcs11:token=subs;object=no{holder.tail}"}
    with pytest.raises(RootKeyMissing) as caught:
        start(gone.get(holder.kind, f"vault:{holder.tail.format(name='never-made')}"))
    assert isinstance(caught.value, StartError)
    assert any(word in caught.value.text for word in ("create-root", "Correct SUBS_KEYS_ROOT"))


@REMOTE
def test_a_missing_library_says_how_to_install_it(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    address = holder.new()
    for name in ("pkcs11", "boto3", "botocore.config", "botocore.exceptions", "hvac", "hvac.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(StartError, match=r"pip install --require-hashes -r requirements/roots\.txt"):
        start(address)


def test_no_library_of_a_root_is_loaded_for_a_file() -> None:
    code = "import sys, subscription_services.keys; print({'pkcs11', 'boto3', 'hvac', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"


# AWS KMS


def test_an_aws_key_that_is_disabled_or_of_another_sort(aws: Holder) -> None:
    client = aws_client(aws)
    address = aws.new()
    arn = address.removeprefix("aws-kms:").partition("?")[0]
    client.disable_key(KeyId=arn.rpartition("/")[2])
    with pytest.raises(RootKeyRefused, match="not enabled"):
        start(address)
    signing = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    with pytest.raises(RootKeyUnsafe, match="symmetric"):
        start(f"aws-kms:{signing}{aws.tail.replace('?region=' + root_holders.REGION + '&', '?')}")


@pytest.mark.parametrize(
    ("status", "code", "error", "says", "tries"),
    [  # as documented for KMS; moto does not answer these
        (400, "NotFoundException", RootKeyMissing, "Correct SUBS_KEYS_ROOT", 1),
        (400, "AccessDeniedException", RootKeyRefused, "kms:Decrypt", 1),
        (400, "UnrecognizedClientException", RootKeyRefused, "kms:Decrypt", 1),
        (400, "ExpiredTokenException", RootKeyRefused, "kms:Decrypt", 1),
        (400, "DisabledException", RootKeyRefused, "Enable it", 1),
        (400, "KMSInvalidStateException", RootKeyRefused, "Enable it", 1),
        (400, "ThrottlingException", RootKeyUnreachable, "safe to repeat", aws_kms.ATTEMPTS),
        (500, "KMSInternalException", RootKeyUnreachable, "safe to repeat", aws_kms.ATTEMPTS),
        (503, "DependencyTimeoutException", RootKeyUnreachable, "safe to repeat", aws_kms.ATTEMPTS),
    ],
)
def test_what_aws_answers_and_what_it_is_called(
    aws: Holder, status: int, code: str, error: type[Exception], says: str, tries: int
) -> None:
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers["x-amz-target"])
            self.rfile.read(int(self.headers["content-length"]))
            body = json.dumps({"__type": code, "message": "no"}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            with pytest.raises(error, match=says):
                start(f"aws-kms:alias/k?region=eu-central-1&endpoint=http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()
    assert asked == ["TrentService.DescribeKey"] * tries


def test_a_new_aws_key_needs_an_alias(aws: Holder) -> None:
    with pytest.raises(SettingsError, match="alias/NAME"):
        aws.create("aws-kms:arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab")


def test_an_aws_key_made_here_rotates_by_itself(aws: Holder) -> None:
    arn = aws.new().removeprefix("aws-kms:").partition("?")[0]
    assert aws_client(aws).get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"]


def test_no_credentials_for_aws(aws: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    address = aws.new()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(RootKeyRefused, match="no AWS credentials"):
        start(address)


def aws_client(aws: Holder) -> Any:
    return providers.library("boto3", "boto3").client(
        "kms", region_name=root_holders.REGION, endpoint_url=aws.tail.partition("endpoint=")[2],
    )  # fmt: skip


# Transit


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (TransitKey(exportable=True), "taken out"),
        (TransitKey(allow_plaintext_backup=True), "taken out"),
        (TransitKey(kind="rsa-4096"), "of type"),
        (TransitKey(kind="aes128-gcm96"), "of type"),
        (TransitKey(derived=True), "not derived"),
    ],
)
def test_a_transit_key_that_is_not_fit(vault: Holder, key: TransitKey, says: str) -> None:
    assert vault.server is not None
    vault.server.keys["loose"] = key
    with pytest.raises(RootKeyUnsafe, match=says):
        start(f"vault:{vault.tail.format(name='loose')}")


def test_transit_answers_and_what_they_are_called(vault: Holder) -> None:
    assert vault.server is not None
    address = vault.new()
    root = start(address)
    wrapped = root.wrap(b"k" * 32, b"c")
    vault.server.token = "renewed"
    with pytest.raises(RootKeyRefused, match="permission denied"):
        root.unwrap(wrapped, b"c")
    write_secret(vault.directory / "token", "renewed\n")
    assert root.unwrap(wrapped, b"c") == b"k" * 32
    vault.server.sealed = True
    with pytest.raises(RootKeyUnreachable, match="Unseal it"):
        start(address)
    vault.server.sealed = False
    vault.server.keys.clear()
    for attempt in (lambda: root.wrap(b"k" * 32, b"c"), lambda: root.unwrap(wrapped, b"c"), lambda: start(address)):
        with pytest.raises(RootKeyMissing):
            attempt()
    with pytest.raises(RootKeyMissing):
        start(address.replace("/transit/", "/elsewhere/"))


def test_a_key_of_the_same_name_in_another_cluster_is_another_root(vault: Holder) -> None:
    assert vault.server is not None
    address = vault.new()
    before = start(address).fingerprint
    vault.server.cluster = "another"
    assert start(address).fingerprint != before


def test_a_short_disturbance_is_waited_out_and_a_long_one_is_not(vault: Holder) -> None:
    assert vault.server is not None
    root = start(vault.new())
    vault.server.busy = transit.TRIES - 1
    wrapped = root.wrap(b"k" * 32, b"c")
    vault.server.busy, before = 1000, len(vault.server.requests)
    with pytest.raises(RootKeyUnreachable):
        root.unwrap(wrapped, b"c")
    assert len(vault.server.requests) - before == transit.TRIES


# Both services


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _addresses(tmp_path: Path, port: int) -> list[str]:
    token = write_secret(tmp_path / "token", "t")
    return [
        f"vault:http://127.0.0.1:{port}/transit/k?token-file={token}",
        f"aws-kms:alias/k?region=eu-central-1&endpoint=http://127.0.0.1:{port}",
    ]


def test_a_service_that_is_not_there(aws: Holder, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in _addresses(tmp_path, port):
        with pytest.raises(RootKeyUnreachable, match="does not answer"):
            start(address)


def test_a_service_that_never_answers_is_given_up_in_time(
    aws: Holder, tmp_path: Path, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_kms, "READ_SECONDS", 0.2)
    monkeypatch.setattr(transit, "READ_SECONDS", 0.2)
    for address in _addresses(tmp_path, silent):
        before = time.monotonic()
        with pytest.raises(RootKeyUnreachable, match="does not answer") as caught:
            start(address)
        assert isinstance(caught.value, KeyUnavailable)
        assert time.monotonic() - before < 20


def test_something_else_than_the_service_answers(tmp_path: Path, vault: Holder) -> None:
    assert vault.server is not None
    original = vault.server.answer
    vault.server.answer = lambda *args: {"hello": "world"}  # type: ignore[method-assign]
    with pytest.raises(RootKeyUnreachable, match="does not answer as Vault"):
        start(f"vault:{vault.tail.format(name='k')}")
    vault.server.answer = original  # type: ignore[method-assign]


def test_https_to_an_authority_of_ones_own(tmp_path: Path) -> None:
    authority, other = (Authority(tmp_path / name, "test.internal") for name in ("one", "other"))
    for item in (authority, other):
        item.prepare(system_clock())
    files = authority.issue("keys", system_clock(), server=True, hosts=["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    server = TransitServer().start(context)
    token = write_secret(tmp_path / "token", server.token)
    address = f"vault:{server.origin}/transit/k?token-file={token}"
    try:
        create_root(parse(f"{address}&ca-file={authority.certificate}"), tmp_path, os.urandom)
        root = start(f"{address}&ca-file={authority.certificate}")
        assert root.unwrap(root.wrap(b"k" * 32, b"c"), b"c") == b"k" * 32
        seen = len(server.requests)
        for wrong in (address, f"{address}&ca-file={other.certificate}"):
            with pytest.raises(RootKeyUnreachable, match="not trusted"):
                start(wrong)
        with pytest.raises(RootKeyUnreachable):
            start(f"{address}&ca-file={tmp_path}/none.pem")
        assert len(server.requests) == seen
    finally:
        server.stop()
