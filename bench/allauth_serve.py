"""`python -m bench.allauth_serve`: makes the baseline's schema and person and prints the session's cookie;
with PORT CERTIFICATE KEY PROCESSES: serves it with granian.

Served as WSGI with four threads a process, the fastest for Django here: as ASGI it gave a fifth to a fourth of the JSON
answers, with one or two threads some three fourths.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PLACES = {"json": "/me", "page": "/accounts/email/"}
THREADS = int(os.environ.get("BENCH_THREADS", "4"))


def serve(port: int, certificate: Path, key: Path, processes: int) -> None:
    """With the very options of our own listener."""
    from granian.constants import Interfaces
    from granian.server import Server

    from subscription_services.edge.listener import Listening, options

    chosen = options(Listening("127.0.0.1", port, certificate, key))
    if os.environ.get("BENCH_ASGI"):
        target, chosen["interface"] = "make_asgi", Interfaces.ASGINL
    else:
        target, chosen["interface"], chosen["blocking_threads"] = "make_application", Interfaces.WSGI, THREADS
    Server(f"bench.allauth_site:{target}", factory=True, workers=processes, **chosen).serve()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        from bench.allauth_site import prepare

        print(prepare())
    else:
        serve(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
