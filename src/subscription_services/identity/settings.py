"""The room's slice of the settings."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from subscription_services.kernel.settings import Says, Slice


class IdentitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How people prove who they are, and for how long that holds."""

    bcrypt_cost: Annotated[
        int, Meta(ge=0, le=18),
        Says("Work factor of password hashes; 0 measures this machine. Under 12 only in a sandbox."),
    ] = 0  # fmt: skip
    bcrypt_target_ms: Annotated[
        int, Meta(ge=50, le=5000), Says("How long checking a password may take here, at most; decides the work factor.")
    ] = 300  # fmt: skip
    idle_minutes: Annotated[
        int, Meta(ge=1, le=1440), Says("A session ends after so many minutes without use. Longer helps thieves.")
    ] = 30  # fmt: skip
    session_hours: Annotated[
        int, Meta(ge=1, le=720), Says("A session ends after so many hours in any case.")
    ] = 12  # fmt: skip
    keyless_idle_minutes: Annotated[
        int, Meta(ge=1, le=1440),
        Says("The same for a browser that holds no key, as without JavaScript. Longer helps thieves in its network."),
    ] = 15  # fmt: skip
    bound_minutes: Annotated[
        int, Meta(ge=3, le=60),
        Says("For how long a browser's key is believed before it must sign again; a copied cookie works no longer."),
    ] = 10  # fmt: skip
    bind_seconds: Annotated[
        int, Meta(ge=10, le=600),
        Says("How long after signing in a browser can register its key. Longer helps who copied its cookies by then."),
    ] = 120  # fmt: skip
    bind_grace_seconds: Annotated[
        int, Meta(ge=0, le=60),
        Says("How long after that its pages are still shown without proof, in its network: they were on their way."),
    ] = 10  # fmt: skip
    link_hours: Annotated[
        int, Meta(ge=1, le=168), Says("How long a link that proves an address works.")
    ] = 24  # fmt: skip
    reset_minutes: Annotated[
        int, Meta(ge=5, le=1440), Says("How long a link works that sets a new password.")
    ] = 30  # fmt: skip
    code_minutes: Annotated[
        int, Meta(ge=1, le=60), Says("How long a sign-in waits for its second factor.")
    ] = 10  # fmt: skip
    places: Annotated[
        str,
        Says("Path of a database of places (MaxMind DB, .mmdb): devices and letters then say roughly where."),
    ] = ""


SETTINGS = Slice("identity", IdentitySettings)
