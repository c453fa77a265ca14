"""What this room can do, by what it is about."""

from subscription_services.kernel.operations import operations_of as _operations_of

from . import approvals as _approvals
from . import canary as _canary
from . import deployments as _deployments
from . import explaining as _explaining
from . import foresight as _foresight
from . import glass as _glass
from . import leavers as _leavers
from . import log as _log
from . import log_exports as _log_exports
from . import lost_keys as _lost_keys
from . import people as _people
from . import probing as _probing
from . import review_schedule as _review_schedule
from . import reviews as _reviews
from . import role_limits as _role_limits
from . import scim as _scim
from . import service_accounts as _service_accounts
from . import tasks as _tasks
from . import unmask as _unmask
from . import unused as _unused

OPERATIONS = (
    *_operations_of(_people),
    *_operations_of(_leavers),
    *_operations_of(_scim),
    *_operations_of(_service_accounts),
    *_operations_of(_canary),
    *_operations_of(_unused),
    *_operations_of(_approvals),
    *_operations_of(_tasks),
    *_operations_of(_glass),
    *_operations_of(_role_limits),
    *_operations_of(_explaining),
    *_operations_of(_foresight),
    *_operations_of(_unmask),
    *_operations_of(_reviews),
    *_operations_of(_review_schedule),
    *_operations_of(_lost_keys),
    *_operations_of(_deployments),
    *_probing.OPERATIONS,
    *_operations_of(_log),
    *_operations_of(_log_exports),
)
