"""Access control: everybody, person or program, has the least that the task needs.

Roles are sets of operations, derived from the registry; whatever is not declared is refused. Grants are read from the
store again inside every transaction, so that ending one counts for the next request everywhere. Tokens of programs
are scoped to named operations and always expire. Approvals bind to one exact request and are used up by it.
"""

from .approval_queries import waiting_for
from .approvals import DatabaseApprovals
from .authority import HouseAuthority, elevations_of, roles_of
from .catalogue import know
from .checks import checks
from .claims import Claims, claims_of
from .deployments import PACKAGE, check_may_start, digest_of, good_permit, installed_digest, public_key_text
from .documents import operations_document, roles_document
from .dpop import Presented
from .jobs import SCHEDULES, kinds
from .kinds_arrive import log_check
from .letters import LETTERS
from .operations import OPERATIONS
from .operations.people import Bootstrap, Enrolment, FirstPeople, FirstPerson, bootstrap
from .pages import routes, team_navigation
from .programs import new_nonce, resolve_token, service_account_of
from .settings import SETTINGS, AccessSettings, configure
from .signing import Assertion, Signatures, sign_with
from .tokens import PREFIX as TOKEN_PREFIX
from .unmasking import read_addresses

__all__ = [
    "LETTERS", "OPERATIONS", "PACKAGE", "SCHEDULES", "SETTINGS", "TOKEN_PREFIX",
    "AccessSettings", "Assertion", "Bootstrap", "Claims", "DatabaseApprovals", "Enrolment", "FirstPeople",
    "FirstPerson", "HouseAuthority", "Presented", "Signatures", "bootstrap", "check_may_start", "checks",
    "claims_of", "configure", "digest_of", "elevations_of", "good_permit", "installed_digest",
    "kinds", "know", "log_check", "new_nonce", "operations_document", "public_key_text", "read_addresses",
    "resolve_token", "roles_document", "roles_of", "routes", "service_account_of", "sign_with", "team_navigation",
    "waiting_for",
]  # fmt: skip
