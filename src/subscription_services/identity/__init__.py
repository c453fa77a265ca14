"""Authentication: accounts, passwords, second factors, sessions and devices.

Passwords are kept as bcrypt hashes of a keyed digest, codes work once, sessions are random tokens of which only a
digest is stored, and they end after a time without use and after a day's work in any case.
"""

from .bindings import Shown, network_of, shows
from .browsers import browser_in_words
from .ceremonies import Passkey, Refused, passkeys_of, record_use
from .checks import checks
from .configured import RelyingParty, configure, configure_place, relying_party
from .jobs import SCHEDULES, kinds
from .leaving import close_team_account, rename_account
from .letters import LETTERS
from .model import Held
from .operations import OPERATIONS
from .operations.people import create_team_account, enrolment_token
from .operations.sign_in import TouchSession, touch_session
from .pages import DEVICE_PROOF, SCRIPT_PROOF, SESSION_COOKIE, routes
from .passkeys import Answer, Asserted, Known, read_answer, request_options, verify_assertion
from .probes import Probe, expect, password_of, probe
from .queries import (
    AccountFacts,
    SignedInPerson,
    accounts,
    active_accounts,
    contact_of,
    email_of,
    is_probe,
    last_seen,
    resolve_session,
    session_facts,
    team_accounts,
)
from .settings import SETTINGS, IdentitySettings
from .signatures import Signature, check_signature, take_signature

__all__ = [
    "DEVICE_PROOF", "LETTERS", "OPERATIONS", "SCHEDULES", "SCRIPT_PROOF", "SESSION_COOKIE", "SETTINGS", "AccountFacts",
    "Answer", "Asserted", "Held", "IdentitySettings", "Known", "Passkey", "Probe", "Refused", "RelyingParty",
    "Shown", "Signature", "SignedInPerson", "TouchSession", "accounts", "active_accounts", "browser_in_words",
    "check_signature", "checks", "close_team_account", "configure", "configure_place", "contact_of",
    "create_team_account", "email_of", "enrolment_token", "expect", "is_probe", "kinds", "last_seen", "network_of",
    "passkeys_of", "password_of", "probe", "read_answer", "record_use", "relying_party",
    "rename_account", "request_options", "resolve_session", "routes", "session_facts", "shows", "take_signature",
    "team_accounts", "touch_session", "verify_assertion",
]  # fmt: skip
