"""Load over HTTPS with wrk, and servers that are surely ended."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

CONNECTIONS = 32
BROWSER = "bench"
"""What all requests say of their browser: our sessions belong to one."""
_SCRIPT = """
done = function(summary)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d\\n", summary.requests, summary.duration, summary.bytes,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class NoLoadGenerator(Exception):
    """wrk is not there and cannot be installed."""


def require_wrk() -> str:
    """The program's path; installs it when root on Debian or Ubuntu. Raises NoLoadGenerator with what to do."""
    if found := shutil.which("wrk"):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing wrk for the load ...", flush=True)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=environment, **quiet)  # type: ignore[call-overload]
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "wrk"]
        subprocess.run(install, check=False, env=environment, **quiet)  # type: ignore[call-overload]
    if found := shutil.which("wrk"):
        return found
    raise NoLoadGenerator("The load comes from wrk. Install it: apt-get install wrk")


def load(url: str, cookie: str, seconds: float, certificate: Path) -> float:
    """Answers a second. Raises AssertionError unless every one of them was as whole as the one seen before."""
    size = len(see(url, cookie, certificate))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT)
        script.flush()
        command = [require_wrk(), "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "-s", script.name]
        sent = ["-H", f"Cookie: {cookie}", "-H", f"User-Agent: {BROWSER}"]
        said = subprocess.run([*command, *sent, url], check=True, capture_output=True, text=True).stdout
    line = next(line for line in said.splitlines() if line.startswith("RESULT "))
    requests, microseconds, received, errors = map(int, line.split()[1:])
    if errors or received < requests * size:
        raise AssertionError(f"{url}: {errors} errors, {received} bytes in {requests} answers of {size} or more")
    return requests / (microseconds / 1e6)


def see(url: str, cookie: str, certificate: Path) -> bytes:
    """The body of one answer, which must be 200 without a redirect."""
    context = ssl.create_default_context(cafile=str(certificate))
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Stay())
    asked = urllib.request.Request(url, headers={"Cookie": cookie, "User-Agent": BROWSER})
    with opener.open(asked, timeout=10) as answer:
        body: bytes = answer.read()
    return body


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], ready: str, certificate: Path) -> Iterator[int]:
    """A server in a process group of its own, from its first answer until leaving; gives its process id."""
    process = subprocess.Popen(command, env=dict(environment), start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        _wait(process, ready, certificate)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, certificate: Path) -> None:
    for _ in range(900):
        if process.poll() is not None:
            raise AssertionError(f"the server ended at once with status {process.returncode}")
        try:
            see(url, "", certificate)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"no answer from {url}")
