"""Tables of accounts, sessions, second factors and links."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)  # fmt: skip

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage import Sealed, personal


class Kind(StrEnum):
    SUBSCRIBER = "subscriber"
    TEAM = "team"


class State(StrEnum):
    UNVERIFIED = "unverified"
    INVITED = "invited"
    ACTIVE = "active"
    CLOSED = "closed"


class Held(StrEnum):
    """What a session is bound to besides its token."""

    PROGRAM = "program"  # signed in over the API or at a terminal: a token in a header, no cookie that a jar could hold
    NETWORK = "network"  # a browser without a key: its network and what it says of itself
    SCRIPT = "script"  # a key that our script made in the browser and that cannot be taken out
    DEVICE = "device"  # a key that the browser itself keeps (Device Bound Session Credentials)


class Purpose(StrEnum):
    """What a link in a letter proves or allows."""

    VERIFY = "verify"
    ENROL = "enrol"
    RESET = "reset"
    UNLOCK = "unlock"


class Ceremony(StrEnum):
    """What a passkey is asked to sign for; a challenge is good for one of them only."""

    REGISTER = "register"
    SIGN_IN = "sign-in"
    SECOND_FACTOR = "second-factor"
    STEP_UP = "step-up"


account = Table(
    "identity_account",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("email", Sealed("identity.account.email"), nullable=False),
    Column("email_index", LargeBinary, unique=True),  # empty once the account is closed: the address is free again
    Column("name", Sealed("identity.account.name"), nullable=False),
    Column("verifier", LargeBinary),
    Column("probe", Boolean, nullable=False),
    Column("idle_minutes", Integer),  # shorter than the operators' time, by the owner's wish
    Column("session_hours", Integer),  # the same for the time after which sessions end in any case
    Column("password_at", Instant),  # when the password was last replaced: browsers known before are known no more
    Column("created_at", Instant, nullable=False),
    Column("verified_at", Instant),
    Column("closed_at", Instant),
    CheckConstraint("idle_minutes >= 1", name="idle_minutes"),
    CheckConstraint("kind IN ('subscriber', 'team')", name="kind"),
    CheckConstraint("state IN ('unverified', 'invited', 'active', 'closed')", name="state"),
    CheckConstraint("(state = 'closed') = (email_index IS NULL)", name="closed_frees_address"),
    info=personal("id"),
)
Index(None, account.c.kind, account.c.state)

session = Table(
    "identity_session",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),  # SHA-256 of a 256-bit random token
    Column("user_agent", Sealed("identity.session.user_agent"), nullable=False),
    Column("address", Sealed("identity.session.address"), nullable=False),
    Column("second_factor", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("signed_in_at", Instant, nullable=False),
    Column("last_used_at", Instant, nullable=False),
    Column("idle_until", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("end_reason", String(32)),
    CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="end_has_reason"),
    info=personal("account"),
)
Index(None, session.c.account, session.c.ended_at)

binding = Table(
    "identity_binding",
    metadata,
    Column("session", String(48), ForeignKey("identity_session.id"), primary_key=True),
    Column("held", String(16), nullable=False),
    Column("network", LargeBinary, nullable=False),  # keyed digest of address block and browser
    Column("handle", String(43), nullable=False, unique=True),  # what the browser calls the session; in no cookie
    Column("offer", LargeBinary, unique=True),  # digest of the challenge that a first key has to sign, while it is open
    Column("offer_until", Instant),
    Column("nonce", LargeBinary),  # makes the challenge that the next proof has to sign
    Column("nonce_until", Instant),
    Column("key", String(300)),  # JWK (RFC 7517), the public half
    Column("thumbprint", String(43)),  # RFC 7638
    Column("digest", LargeBinary),  # of the short-lived cookie
    Column("until", Instant),
    Column("earlier_digest", LargeBinary),  # of the one before, for requests that are on their way
    Column("earlier_until", Instant),
    Column("bound_at", Instant),
    CheckConstraint("held IN ('program', 'network', 'script', 'device')", name="held"),
    CheckConstraint(
        "(held IN ('script', 'device')) = (key IS NOT NULL AND thumbprint IS NOT NULL AND digest IS NOT NULL"
        " AND until IS NOT NULL AND bound_at IS NOT NULL)",
        name="held_by_key",
    ),
    CheckConstraint("(offer IS NULL) = (offer_until IS NULL)", name="offer_ends"),
    CheckConstraint("(nonce IS NULL) = (nonce_until IS NULL)", name="nonce_ends"),
    CheckConstraint("(earlier_digest IS NULL) = (earlier_until IS NULL)", name="earlier_ends"),
)

totp = Table(
    "identity_totp",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("secret", Sealed("identity.totp.secret"), nullable=False),
    Column("name", Sealed("identity.totp.name")),  # what its owner calls it
    Column("last_step", BigInteger, nullable=False),  # the newest time step that was used: a code works once
    Column("created_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    info=personal("account"),
)
Index(None, totp.c.account)
_PENDING = totp.c.confirmed_at.is_(None)
Index("ux_identity_totp_pending", totp.c.account, unique=True, sqlite_where=_PENDING, postgresql_where=_PENDING)

passkey = Table(
    "identity_passkey",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),  # COSE key (RFC 9052)
    Column("sign_count", BigInteger, nullable=False),
    Column("name", Sealed("identity.passkey.name"), nullable=False),
    Column("transports", String(100), nullable=False),  # how the browser reaches it, separated by spaces
    Column("aaguid", String(36), nullable=False),  # the model of authenticator, as it says of itself
    Column("backup_eligible", Boolean, nullable=False),  # whether its maker may copy it to other devices
    Column("backed_up", Boolean, nullable=False),
    Column("discoverable", Boolean),  # whether it is found without an address; empty where the browser did not say
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    CheckConstraint("sign_count >= 0", name="sign_count"),
    info=personal("account"),
)
Index(None, passkey.c.account)

recovery_code = Table(
    "identity_recovery_code",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("mac", LargeBinary, nullable=False, unique=True),
    Column("used_at", Instant),
)
Index(None, recovery_code.c.account)

link = Table(
    "identity_link",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    CheckConstraint("purpose IN ('verify', 'enrol', 'reset', 'unlock')", name="purpose"),
)
Index(None, link.c.account, link.c.purpose)

challenge = Table(
    "identity_challenge",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Instant, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("used_at", Instant),
    CheckConstraint("tries >= 0", name="tries"),
)
Index(None, challenge.c.expires_at)

passkey_challenge = Table(
    "identity_passkey_challenge",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),  # SHA-256 of 256 random bits
    Column("ceremony", String(16), nullable=False),
    Column("account", String(48), ForeignKey("identity_account.id")),
    Column("held_by", String(48)),  # the session, or the sign-in that waits for its second factor
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    CheckConstraint("ceremony IN ('register', 'sign-in', 'second-factor', 'step-up')", name="ceremony"),
    CheckConstraint(
        "(ceremony = 'sign-in') = (account IS NULL) AND (account IS NULL) = (held_by IS NULL)", name="bound"
    ),
)
Index(None, passkey_challenge.c.expires_at)
