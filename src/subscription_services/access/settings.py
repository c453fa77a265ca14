"""The room's slice of the settings."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from subscription_services.kernel.settings import Says, Slice

from .model import LONGEST_TOKEN_DAYS
from .task_model import LONGEST_DAYS

LONG_ENOUGH = 3600
"""Seconds in which somebody who was told can stop what waits because there is nobody to ask."""


class AccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What programs may be given, and how long approvals and tasks last."""

    token_days: Annotated[
        int, Meta(ge=1, le=LONGEST_TOKEN_DAYS),
        Says("Days that a token of a service account may be valid, at most. Longer helps who finds a leaked one."),
    ] = LONGEST_TOKEN_DAYS  # fmt: skip
    rotation_hours: Annotated[
        int, Meta(ge=0, le=168),
        Says("Hours that a token which was replaced still works, so that its program can be told the new one."),
    ] = 24  # fmt: skip
    bound_tokens: Annotated[
        bool,
        Says(
            "Take only tokens of service accounts that are bound to a key of their program (DPoP). A stolen one is "
            "then worth nothing; tokens without a key stop working at once."
        ),
    ] = False
    unused_permission_days: Annotated[
        int, Meta(ge=7, le=365),
        Says("Days without use after which a role, or an operation of a token, is reported as unused."),
    ] = 90  # fmt: skip
    unused_person_days: Annotated[
        int, Meta(ge=30, le=365),
        Says(
            "Days without a sign-in or a request after which the account of a team member is deactivated for good, "
            "with letters 14 and 3 days before."
        ),
    ] = 90  # fmt: skip
    unused_program_days: Annotated[
        int, Meta(ge=30, le=365),
        Says("The same for a service account, and for a token beside others that are used. Its owner is written to."),
    ] = 60  # fmt: skip
    approval_hours: Annotated[
        int, Meta(ge=1, le=168),
        Says("For how long a request for approval, and what was approved, stands. Longer leaves more lying about."),
    ] = 24  # fmt: skip
    alone_seconds: Annotated[
        int, Meta(ge=1, le=604_800),
        Says("How long what needs a second person waits, with everybody told, where there is nobody else to ask. Under "
             "an hour nobody has the time to stop it: only a sandbox should do that."),
    ] = 86_400  # fmt: skip
    task_longest_minutes: Annotated[
        int, Meta(ge=5, le=LONGEST_DAYS * 24 * 60),
        Says("The longest time for which a task may lend somebody operations."),
    ] = 480  # fmt: skip
    glass_review_days: Annotated[
        int, Meta(ge=1, le=30),
        Says("Days within which somebody else has to review and close what was done after the glass was broken."),
    ] = 7  # fmt: skip
    review_days: Annotated[
        int, Meta(ge=7, le=90),
        Says("Days until a review asks whether a role or service account is still needed. Longer leaves more power "
             "lying about."),
    ] = 90  # fmt: skip
    review_elevated_days: Annotated[
        int, Meta(ge=7, le=30),
        Says("The same for administrators, security and operations, who can do most."),
    ] = 30  # fmt: skip
    review_grace_days: Annotated[
        int, Meta(ge=2, le=30),
        Says("Days that reviewers have. What nobody has decided by then lapses."),
    ] = 14  # fmt: skip
    review_again_days: Annotated[
        int, Meta(ge=1, le=14),
        Says("Days for doing a review again that was void, counted from its beginning, and never more than these days "
             "after the first one was due."),
    ] = 5  # fmt: skip

    mover_days: Annotated[
        int, Meta(ge=1, le=90),
        Says("Days after which a role lapses whose holder got another one, unless an administrator confirms it."),
    ] = 14  # fmt: skip
    deployments: Annotated[
        Literal["any", "permitted"],
        Says("Which releases start here: any, or only those that two people permitted (`subs deployments`). With any, "
             "whoever can put files on the machine decides alone what runs; right for a sandbox, where files change."),
    ] = "any"  # fmt: skip


SETTINGS = Slice("access", AccessSettings)
_configured = [AccessSettings()]


def configure(settings: AccessSettings) -> None:
    """Keep the settings in force in this process; told once by app.py."""
    _configured[:] = [settings]


def in_force() -> AccessSettings:
    return _configured[0]
