"""The room's slice of the settings."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from subscription_services.kernel.settings import Says, Slice

from .task_model import LONGEST_DAYS


class AccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long approvals and tasks last."""

    approval_hours: Annotated[
        int, Meta(ge=1, le=168),
        Says("For how long a request for approval, and what was approved, stands. Longer leaves more lying about."),
    ] = 24  # fmt: skip
    alone_hours: Annotated[
        int, Meta(ge=1, le=168),
        Says("How long what needs a second person waits, with everybody told, where there is nobody else to ask."),
    ] = 24  # fmt: skip
    task_longest_minutes: Annotated[
        int, Meta(ge=5, le=LONGEST_DAYS * 24 * 60),
        Says("The longest time for which a task may lend somebody operations."),
    ] = 480  # fmt: skip


SETTINGS = Slice("access", AccessSettings)
