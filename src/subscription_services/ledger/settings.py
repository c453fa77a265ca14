"""The room's slice of the settings."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from subscription_services.kernel.settings import Says, Slice

from .model import LEAST_DAYS


class LedgerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the log is kept, and who witnesses it."""

    retention_days: Annotated[
        int, Meta(ge=LEAST_DAYS, le=36_500),
        Says(
            "Days that events are kept; at least 90. It can be raised and never lowered again: the database remembers "
            "the highest value and refuses to delete what is younger."
        ),
    ] = LEAST_DAYS  # fmt: skip
    witness_policy: Annotated[
        str,
        Says(
            "A C2SP tlog-policy file: witnesses with key and URL, and the quorum that must cosign a checkpoint before "
            "it is published. Empty: the log is unwitnessed, and a roll-back of everything at once cannot be seen."
        ),
    ] = ""  # fmt: skip
    witness_seconds: Annotated[
        int, Meta(ge=1, le=3600),
        Says("Seconds between requests to the witnesses while there are new entries. Longer hides roll-backs longer."),
    ] = 5  # fmt: skip


SETTINGS = Slice("ledger", LedgerSettings)
