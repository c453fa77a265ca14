"""`python -m sandbox.processor`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.loopback import NotLoopback, PortInUse
from sandbox.processor.server import run
from sandbox.processor.settings import Settings, WrongSetting
from sandbox.processor.store import NotASandbox
from sandbox.serving import DidNotStart, Listen, in_foreground


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.processor", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free port")
    parser.add_argument("--data", default=":memory:", help="SQLite file, or :memory:")
    parser.add_argument("--cert", type=Path, help="certificate for HTTPS (TLS 1.3 only)")
    parser.add_argument("--key", type=Path, help="its private key")
    parser.add_argument("--secret-key", help="sk_test_...; else SANDBOX_SECRET_KEY, else sk_test_sandbox")
    parser.add_argument("--publishable-key", default="pk_test_sandbox", help="pk_test_...")
    parser.add_argument("--embedder", action="append", default=[], help="origin that may frame the card form")
    parser.add_argument("--public-url", help="where browsers reach this, when not at the address listened on")
    parser.add_argument("--webhook-url", help="an endpoint for every event from the start")
    parser.add_argument("--webhook-secret", help="its signing secret; else SANDBOX_WEBHOOK_SECRET")
    parser.add_argument("--ca", type=Path, help="certificate authority to trust when delivering webhooks")
    parser.add_argument("--retry-seconds", type=float, default=1.0, help="first pause after a failed delivery")
    return parser.parse_args()


def main() -> int:
    """Run until SIGTERM; 2 with a message for a setting or a port that cannot be."""
    given = _arguments()
    environ = os.environ
    try:
        settings = Settings(
            listen=Listen(given.host, given.port, given.cert, given.key),
            data=given.data,
            secret_key=given.secret_key or environ.get("SANDBOX_SECRET_KEY") or "sk_test_sandbox",
            publishable_key=given.publishable_key,
            embedders=tuple(given.embedder),
            public_url=given.public_url,
            webhook_url=given.webhook_url,
            webhook_secret=given.webhook_secret or (given.webhook_url and environ.get("SANDBOX_WEBHOOK_SECRET")),
            ca=given.ca,
            retry_seconds=given.retry_seconds,
        )

        async def serve(announce: Callable[[str], None], stop: asyncio.Event) -> None:
            await run(settings, announce, stop)

        in_foreground(serve, lambda url: print(f"processor ready at {url}", flush=True))
    except (WrongSetting, NotLoopback, PortInUse, NotASandbox, DidNotStart, OSError) as error:
        print(f"processor: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
