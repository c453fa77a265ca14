"""`python -m sandbox.mailbox`."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.loopback import NotLoopback, PortInUse
from sandbox.mailbox.server import Addresses, MailboxSettings, run
from sandbox.serving import DidNotStart, in_foreground


def _settings() -> MailboxSettings:
    parser = argparse.ArgumentParser(prog="python -m sandbox.mailbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--smtp-port", type=int, default=0, help="0 chooses a free port")
    parser.add_argument("--http-port", type=int, default=0, help="0 chooses a free port")
    parser.add_argument("--keep", type=int, default=500, help="how many messages are kept")
    parser.add_argument("--cert", type=Path, help="certificate to offer STARTTLS with (TLS 1.3 only)")
    parser.add_argument("--key", type=Path, help="its private key")
    given = parser.parse_args()
    if (given.cert is None) != (given.key is None) or given.keep < 1:
        parser.error("--cert and --key come together, and --keep is at least 1")
    return MailboxSettings(given.host, given.smtp_port, given.http_port, given.keep, given.cert, given.key)


def _announce(where: Addresses) -> None:
    print(f"mailbox ready: smtp {where.smtp_host}:{where.smtp_port}, read at {where.url}", flush=True)


def main() -> int:
    """Run until SIGTERM; 2 with a message for an address or a port that cannot be."""
    settings = _settings()

    async def serve(announce: Callable[[Addresses], None], stop: asyncio.Event) -> None:
        await run(settings, announce, stop)

    try:
        in_foreground(serve, _announce)
    except (NotLoopback, PortInUse, DidNotStart, OSError) as error:
        print(f"mailbox: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
