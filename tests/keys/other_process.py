"""Another process on the same key store; speaks one line at a time so that a test can follow it.

`watch SUBJECT HEX`  opens a value again and again: `open` at the first time, then `gone SECONDS` since it was last open
`make PREFIX`        creates subjects without end, a line after each
`load PREFIX COUNT`  creates and uses COUNT subjects, signs, and says `done`
`rotate PURPOSE COUNT`  rotates so often, moves some keys each time, says `at VERSION`, then `done`
`move PURPOSE LIMIT`  moves keys to the newest version, LIMIT at a time, and says how many are left
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from subscription_services.kernel.clock import system_clock, system_random
from subscription_services.keys import KeySettings, SubjectErased, open_embedded


def say(*words: object) -> None:
    print(*words, flush=True)


def main(directory: str, command: str, *words: str) -> None:
    ring = open_embedded(Path(directory), KeySettings(busy_timeout=30), system_clock, system_random)
    keys, ledger = ring.for_caller("identity"), ring.for_caller("ledger")
    if command == "watch":
        subject, sealed = words[0], bytes.fromhex(words[1])
        keys.unseal(subject, "f", "r", sealed)
        say("open")
        last = time.time()
        try:
            while True:
                now = time.time()
                keys.unseal(subject, "f", "r", sealed)
                last = now
        except SubjectErased:
            say("gone", last)
    elif command == "make":
        number = 0
        while True:
            subject = f"{words[0]}_{number}"
            keys.ensure_subject(subject)
            say(subject, keys.seal(subject, "f", "r", b"x").hex())
            number += 1
    elif command == "load":
        for number in range(int(words[1])):
            subject = f"{words[0]}_{number}"
            keys.ensure_subject(subject)
            keys.ensure_subject(f"both_{number}")
            say(subject, keys.seal(subject, "f", "r", b"x").hex())
            say(f"both_{number}", keys.seal(f"both_{number}", "f", "r", b"x").hex())
            ledger.sign("ledger.checkpoint", b"x")
        say("done", keys.secret("identity.pepper").hex())
    elif command == "rotate":
        operator = ring.for_caller("keys")
        for _ in range(int(words[1])):
            version = operator.rotate(words[0])
            operator.rewrap(words[0], 30)
            say("at", version)
        say("done")
    elif command == "move":
        while True:
            say("left", ring.for_caller("keys").rewrap(words[0], int(words[1])))
    ring.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
