"""`make run`: the service with its stand-ins (processor, mailbox), ready to be tried in a browser.

The stand-ins keep what they keep beside the data directory, never in it: they play the outside world.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

from sandbox.loopback import PortInUse, choose_port

MAILBOX_PORT = 8025
PROCESSOR_PORT = 8044
ROOMS = ("access", "billing", "identity", "keys", "mail")
"""Rooms with settings of their own: a section each in the file."""


def main() -> int:
    """Start the stand-ins, then the service in this process's place as the parent; stop them all at the end."""
    environment = dict(os.environ)
    data = Path(environment.get("SUBS_DATA", "var/data")).resolve()
    environment["SUBS_DATA"] = str(data)
    beside = data.parent / f"{data.name}-sandbox"
    for folder in (data, beside):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    https_port = environment.get("SUBS_HTTPS_PORT", "8443")
    name = environment.get("SUBS_PUBLIC_NAME", "localhost")
    origin = f"https://{name}:{https_port}"
    webhook_secret = f"whsec_{_kept(beside / 'webhook-secret')}"
    secret_key = f"sk_test_{_kept(beside / 'secret-key')}"
    usual = "SUBS_HTTPS_PORT" not in os.environ
    processor_port, mailbox_port = (_port(PROCESSOR_PORT), _port(MAILBOX_PORT)) if usual else (0, 0)
    children: list[subprocess.Popen[str]] = []
    try:
        children.append(_start("sandbox.mailbox", "--http-port", str(mailbox_port)))
        certificate = _certificate(environment)  # while the mailbox starts
        mailbox = _first_line(children[-1])
        smtp = mailbox.split("smtp ")[1].split(",")[0]
        mailbox_url = mailbox.split("read at ")[1]
        children.append(
            _start(
                "sandbox.processor", "--port", str(processor_port), "--data", str(beside / "processor.db"),
                "--embedder", origin, "--webhook-url", f"https://localhost:{https_port}/webhooks/processor",
                "--ca", certificate, environment={"SANDBOX_SECRET_KEY": secret_key,
                                                  "SANDBOX_WEBHOOK_SECRET": webhook_secret},
            )
        )  # fmt: skip
        frames = _first_line(children[-1]).rpartition(" ")[2]
        environment |= {
            "SUBS_SANDBOX": "true",
            # somebody who tries it alone should not have to wait a day; the pages say what that means
            "SUBS_ACCESS_ALONE_SECONDS": environment.get("SUBS_ACCESS_ALONE_SECONDS", "60"),
            "SUBS_MAIL_HOST": smtp.rpartition(":")[0],
            "SUBS_MAIL_PORT": smtp.rpartition(":")[2],
            "SUBS_MAILBOX_URL": mailbox_url,
            "SUBS_BILLING_PROCESSOR_URL": frames,
            "SUBS_BILLING_FRAME_ORIGIN": frames,
            "SUBS_BILLING_SECRET_KEY": secret_key,
            "SUBS_BILLING_PUBLISHABLE_KEY": "pk_test_sandbox",
            "SUBS_BILLING_WEBHOOK_SECRET": webhook_secret,
        }
        config = _write_config(beside / "subs.toml", environment)
        print(f"Sandbox: no real money moves. Letters are read at {mailbox_url}", flush=True)
        print(f"Operators, in another terminal: export SUBS_CONFIG={config}", flush=True)
        print(
            "then, once: .venv/bin/subs bootstrap you@example.org 'Your Name' --and 'Other Name <other@example.org>'",
            flush=True,
        )
        service = subprocess.Popen([sys.executable, "-m", "subscription_services.cli", "run"], env=environment)
        for signal_name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_name, lambda number, frame: service.send_signal(signal.SIGTERM))
        return service.wait()
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(10)


def _write_config(path: Path, environment: dict[str, str]) -> Path:
    """The settings of this run as a file, so that `subs` in another terminal speaks of the same installation."""
    sections: dict[str, list[str]] = {"": [], **{room: [] for room in ROOMS}}
    for variable, value in sorted(environment.items()):
        if not variable.startswith("SUBS_") or variable in ("SUBS_CONFIG", "SUBS_CLOCK_OFFSET"):
            continue
        name = variable.removeprefix("SUBS_").lower()
        head, _, tail = name.partition("_")
        section, key = (head, tail) if head in ROOMS and tail else ("", name)
        sections[section].append(f"{key} = {json.dumps(value)}")
    text = "\n".join(sections[""]) + "".join(
        f"\n[{name}]\n" + "\n".join(lines) for name, lines in sections.items() if name and lines
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    return path


def _certificate(environment: dict[str, str]) -> str:
    """The path of the service's local certificate, made before the processor has to trust it."""
    command = [sys.executable, "-m", "subscription_services.cli", "certificate"]
    made = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode:
        raise SystemExit(made.returncode)
    return made.stdout.strip()


def _start(module: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    # a session of its own, so that Ctrl-C reaches only us and everything stops in order
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise SystemExit("A stand-in of the sandbox did not start; its message stands above.")
    return line


def _port(wanted: int) -> int:
    """The usual port when it is free, else any."""
    try:
        return choose_port("127.0.0.1", wanted)
    except PortInUse:
        return choose_port("127.0.0.1", 0)


def _kept(path: Path) -> str:
    """A secret of this sandbox, made at the first run and readable by its owner only."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(24))
    return path.read_text().strip()


if __name__ == "__main__":
    raise SystemExit(main())
