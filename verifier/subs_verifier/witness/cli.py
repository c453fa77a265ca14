"""`subs-witness`: make a witness's key, tell it which logs to watch, run it."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

from subs_verifier.errors import VerifierError
from subs_verifier.note import parse_key

from .protocol import Cosigner
from .server import WitnessServer, tls_context
from .state import State, make_state, watch


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit code: 0 done, 2 what is wrong is said."""
    options = _parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options)
    except VerifierError as error:
        print(f"subs-witness: {error}", file=sys.stderr)
    except OSError as error:
        print(f"subs-witness: {error.strerror or error}", file=sys.stderr)
    return 2


def _init(options: argparse.Namespace) -> int:
    print(make_state(options.state, options.name).text())
    return 0


def _key(options: argparse.Namespace) -> int:
    state = State(options.state)
    print(state.witness.key.text())
    state.close()
    return 0


def _watch(options: argparse.Namespace) -> int:
    watch(options.state, [parse_key(text) for text in options.key])
    return 0


def _serve(options: argparse.Namespace) -> int:
    if (options.certificate is None) != (options.private_key is None):
        raise VerifierError("--certificate and --private-key belong together")
    tls = None if options.certificate is None else tls_context(options.certificate, options.private_key)
    state = State(options.state)
    try:
        cosigner = Cosigner(state, time.time)
        cosigner.show_latest()
        server = WitnessServer((options.host, options.port), cosigner, tls)
        for number in (signal.SIGTERM, signal.SIGINT):
            # shutdown() waits for the loop that this very thread runs
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"{state.witness.key.text()} listens on port {server.server_port}", flush=True)
        with server:
            server.serve_forever(poll_interval=0.1)
    finally:
        state.close()
    return 0


_COMMANDS = {"init": _init, "key": _key, "watch": _watch, "serve": _serve}


def _parser() -> argparse.ArgumentParser:
    memory = argparse.ArgumentParser(add_help=False)
    memory.add_argument("--state", type=Path, required=True, help="folder of the witness's key and memory")
    parser = argparse.ArgumentParser(prog="subs-witness", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("init", parents=[memory], help="make the folder and the key; prints the verifier key")
    one.add_argument("name", help="name of the witness, such as witness.example.com/w1")
    commands.add_parser("key", parents=[memory], help="print the verifier key")
    one = commands.add_parser("watch", parents=[memory], help="watch a log")
    one.add_argument("key", nargs="+", help="verifier key of the log (several while it changes its key)")
    one = commands.add_parser("serve", parents=[memory], help="answer logs")
    one.add_argument("--host", default="127.0.0.1")
    one.add_argument("--port", type=int, default=7380)
    one.add_argument("--certificate", help="certificate chain (PEM); with it, TLS 1.3 is spoken")
    one.add_argument("--private-key", help="its private key (PEM)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
