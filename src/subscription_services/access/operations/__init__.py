"""What this room can do, by what it is about."""

from subscription_services.kernel.operations import operations_of as _operations_of

from . import approvals as _approvals
from . import glass as _glass
from . import leavers as _leavers
from . import log as _log
from . import log_exports as _log_exports
from . import people as _people
from . import probing as _probing
from . import scim as _scim
from . import service_accounts as _service_accounts
from . import tasks as _tasks

OPERATIONS = (
    *_operations_of(_people),
    *_operations_of(_leavers),
    *_operations_of(_scim),
    *_operations_of(_service_accounts),
    *_operations_of(_approvals),
    *_operations_of(_tasks),
    *_operations_of(_glass),
    *_probing.OPERATIONS,
    *_operations_of(_log),
    *_operations_of(_log_exports),
)
