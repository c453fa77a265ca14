"""Every holder of root keys that runs here: files, SoftHSM2, moto's AWS KMS, and our answers of the Transit engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from subscription_services.kernel.clock import system_random
from subscription_services.keys.roots.address import parse
from subscription_services.keys.roots.choice import create_root, open_root
from subscription_services.keys.roots.providers import Wrapping

from .transit_server import TransitServer

PIN, OFFICER = "82461357", "13578246"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
REGION = "eu-central-1"


def softhsm() -> str:
    """The path of SoftHSM2's module, empty where it is not installed."""
    found = [path for path in (*MODULES, "/usr/local/lib/softhsm/libsofthsm2.so") if Path(path).exists()]
    return found[0] if found and shutil.which("softhsm2-util") else ""


@dataclass
class Holder:
    """One kind of root. `new()` makes another root key there and returns the address of it."""

    kind: str
    directory: Path
    tail: str = ""
    server: TransitServer | None = None

    def new(self) -> str:
        name = f"root-{os.urandom(4).hex()}"
        text = {
            "file": f"file:{self.directory / name}",
            "pkcs11": f"pkcs11:token=subs;object={name}{self.tail}",
            "aws-kms": f"aws-kms:alias/{name}{self.tail}",
            "vault": f"vault:{self.tail.format(name=name)}",
        }[self.kind]
        return self.create(text)

    def create(self, text: str) -> str:
        return create_root(parse(text), self.directory, system_random)

    def open(self, text: str) -> Wrapping:
        return open_root(parse(text), self.directory, system_random)


def write_secret(path: Path, content: str) -> Path:
    path.write_text(content)
    path.chmod(0o600)
    return path


@contextmanager
def softhsm_tokens(directory: Path) -> Iterator[Holder]:
    """Two tokens, "subs" and "other", in a folder of their own. The module has one state in a process."""
    import pkcs11

    tokens = directory / "tokens"
    tokens.mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    try:
        for label in ("subs", "other"):
            subprocess.run(
                ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", OFFICER],
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip
        pin = write_secret(directory / "pin", PIN + "\n")
        module = softhsm()
        pkcs11.lib(module).reinitialize()
        yield Holder("pkcs11", directory, f"?module-path={module}&pin-source=file:{pin}")
        pkcs11.unload(module)
    finally:
        if before is None:
            del os.environ["SOFTHSM2_CONF"]
        else:
            os.environ["SOFTHSM2_CONF"] = before


@contextmanager
def aws(directory: Path) -> Iterator[Holder]:
    """moto's server in a thread; credentials that only it accepts."""
    from moto.server import ThreadedMotoServer

    values = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Holder("aws-kms", directory, f"?region={REGION}&endpoint=http://{host}:{port}")
    finally:
        server.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def transit(directory: Path) -> Iterator[Holder]:
    server = TransitServer().start()
    token = write_secret(directory / "token", server.token + "\n")
    try:
        yield Holder("vault", directory, f"{server.origin}/transit/{{name}}?token-file={token}", server)
    finally:
        server.stop()
