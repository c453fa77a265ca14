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
    email_change_hours: Annotated[
        int, Meta(ge=1, le=168), Says("How long both letters about a new address have to be answered in.")
    ] = 48  # fmt: skip
    email_revert_days: Annotated[
        int, Meta(ge=1, le=30), Says("How long the old address can take a change of address back.")
    ] = 7  # fmt: skip
    recovery_days: Annotated[
        int, Meta(ge=1, le=30),
        Says("How long a recovery without the second factor waits while its owner can stop it. Shorter helps thieves."),
    ] = 3  # fmt: skip
    breach_range_url: Annotated[
        str,
        Says(
            "Where new passwords are looked up among breached ones by the first five digits of their SHA-1 (the range "
            "API of Pwned Passwords: https://api.pwnedpasswords.com/range/). HTTPS only. Empty asks nobody."
        ),
    ] = ""
    code_minutes: Annotated[
        int, Meta(ge=1, le=60), Says("How long a sign-in waits for its second factor.")
    ] = 10  # fmt: skip
    oidc_issuer: Annotated[
        str, Meta(max_length=300),
        Says("Issuer of the team's OpenID Connect provider, an https address. Empty: no single sign-on."),
    ] = ""  # fmt: skip
    oidc_client_id: Annotated[str, Says("What the provider calls this service.")] = ""
    oidc_client_secret: Annotated[str, Says("The secret that goes with it.", secret=True)] = ""
    oidc_domains: Annotated[
        str, Says("Domains of addresses that may be linked, separated by commas. Empty: every invited address.")
    ] = ""
    oidc_factors: Annotated[
        str,
        Says(
            "Values of amr or acr that count as the second factor, separated by commas. With others, and when it is "
            "empty, our own second factor is asked for after the provider's sign-in."
        ),
    ] = "mfa"  # fmt: skip
    oidc_required: Annotated[
        bool,
        Says(
            "Team members sign in with the provider only; their passwords are refused. If the provider fails, nobody "
            "on the team can sign in until this is off again."
        ),
    ] = False  # fmt: skip
    oidc_ca_file: Annotated[str, Says("Certificates to trust for the provider; empty for those of the system.")] = ""
    places: Annotated[
        str,
        Says("Path of a database of places (MaxMind DB, .mmdb): devices and letters then say roughly where."),
    ] = ""


SETTINGS = Slice("identity", IdentitySettings)
