"""The house's registry, as the operations of this room see it: what can be allowed at all is code, not data.

`know` is called once per process, by app.py, after the registry is made from every room (this one included).
"""

from __future__ import annotations

from subscription_services.kernel.actors import Role
from subscription_services.kernel.operations import Operation, Registry

from .policy import NEVER_BY_GLASS, grantable_scopes, lendable

_known: list[Registry] = []
_lendable: dict[Role, frozenset[str]] = {}
_by_roles: dict[frozenset[str], frozenset[tuple[Role, str]]] = {}


def know(registry: Registry) -> None:
    """Tell the room which operations exist."""
    _known[:] = [registry]
    _lendable.update({role: lendable(registry, role) for role in Role})
    _by_roles.clear()


def operations() -> Registry:
    """Every operation of the house. Raises LookupError when nobody told."""
    if not _known:
        raise LookupError("access was not told which operations exist")
    return _known[0]


def scopes() -> frozenset[str]:
    """Names of the operations that service accounts may be scoped to."""
    return grantable_scopes(operations())


def named(name: str) -> Operation | None:
    """The operation of this name."""
    return operations().get(name)


def lends(role: Role) -> frozenset[str]:
    """Names of the operations of a role that a task can lend: what code allows the role now, whatever was stored."""
    return _lendable.get(role, frozenset())


def lends_by_glass(role: Role) -> frozenset[str]:
    """The same where nobody granted it."""
    return lends(role) - NEVER_BY_GLASS


def by_roles(leaving_out: frozenset[str]) -> frozenset[tuple[Role, str]]:
    """Everything that code allows to roles, but for these operations."""
    if leaving_out not in _by_roles:
        _by_roles[leaving_out] = frozenset(
            (rule, item.name)
            for item in operations()
            if item.name not in leaving_out
            for rule in item.by
            if isinstance(rule, Role)
        )
    return _by_roles[leaving_out]
