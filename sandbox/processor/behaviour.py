"""How harsh the processor is: what tests and rehearsals ask of it beyond Stripe's ordinary behaviour."""

from fnmatch import fnmatchcase
from typing import Literal

import msgspec


class Calls(msgspec.Struct, forbid_unknown_fields=True):
    """The next `count` calls whose method is `method` ("*" for any) and whose path matches `path` (shell pattern)."""

    count: int = 1
    path: str = "/v1/*"
    method: str = "POST"

    def takes(self, method: str, path: str) -> bool:
        """Whether this call is one of them; if so it is counted off."""
        matches = fnmatchcase(path, self.path) and self.method in ("*", method)
        if self.count < 1 or not matches:
            return False
        self.count -= 1
        return True


class LostAnswers(Calls, forbid_unknown_fields=True):
    """The work is done, its answer lost: a 500, a connection closed half way, or silence for `hang_seconds`."""

    how: Literal["500", "close", "hang"] = "500"
    hang_seconds: float = 60.0


class Failures(Calls, forbid_unknown_fields=True):
    """Nothing is done: 503, 429 or 500 is answered first."""

    status: Literal[503, 429, 500] = 503


class Behaviour(msgspec.Struct, forbid_unknown_fields=True):
    """All of it; the defaults are a processor on a good day.

    Webhooks come `webhook_delay_seconds` late, `webhook_duplicate` times each, and with `webhook_shuffle` = n they
    are held back until n are there, then sent newest first.
    """

    webhook_delay_seconds: float = 0.0
    webhook_duplicate: int = 1
    webhook_shuffle: int = 0
    lose_answers: LostAnswers = msgspec.field(default_factory=lambda: LostAnswers(count=0))
    fail_next: Failures = msgspec.field(default_factory=lambda: Failures(count=0))

    def change(self, body: bytes) -> None:
        """Set the fields named in a JSON object, leaving the others; `{"reset": true}` goes back to the start.

        Raises msgspec.ValidationError or DecodeError and then changes nothing.
        """
        sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        base = Behaviour() if sent.pop("reset", None) is not None else self
        merged = {name: msgspec.json.encode(getattr(base, name)) for name in Behaviour.__struct_fields__}
        merged.update({name: bytes(raw) for name, raw in sent.items()})
        raw = {name: msgspec.Raw(value) for name, value in merged.items()}
        wanted = msgspec.json.decode(msgspec.json.encode(raw), type=Behaviour)
        for name in Behaviour.__struct_fields__:
            setattr(self, name, getattr(wanted, name))
