"""Authentication: accounts, passwords, second factors, sessions and devices.

Passwords are kept as bcrypt hashes of a keyed digest, codes work once, sessions are random tokens of which only a
digest is stored, and they end after a time without use and after a day's work in any case.
"""

from .bindings import Shown, network_of, shows
from .checks import checks
from .configured import configure
from .letters import LETTERS
from .model import Held
from .operations import OPERATIONS
from .operations.people import create_team_account, enrolment_token
from .operations.sign_in import TouchSession, touch_session
from .pages import DEVICE_PROOF, SCRIPT_PROOF, SESSION_COOKIE, routes
from .probes import password_of, probe
from .queries import (
    AccountFacts,
    SignedInPerson,
    accounts,
    contact_of,
    email_of,
    resolve_session,
    session_facts,
    team_accounts,
)
from .settings import SETTINGS, IdentitySettings

__all__ = [
    "DEVICE_PROOF", "LETTERS", "OPERATIONS", "SCRIPT_PROOF", "SESSION_COOKIE", "SETTINGS", "AccountFacts", "Held",
    "IdentitySettings", "Shown", "SignedInPerson", "TouchSession", "accounts", "checks", "configure", "contact_of",
    "create_team_account", "email_of", "enrolment_token", "network_of", "password_of", "probe", "resolve_session",
    "routes", "session_facts", "shows", "team_accounts", "touch_session",
]  # fmt: skip
