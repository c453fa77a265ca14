"""The house's registry, as the operations of this room see it: what can be allowed at all is code, not data.

`know` is called once per process, by app.py, after the registry is made from every room (this one included).
"""

from __future__ import annotations

from subscription_services.kernel.operations import Registry

from .policy import grantable_scopes

_known: list[Registry] = []


def know(registry: Registry) -> None:
    """Tell the room which operations exist."""
    _known[:] = [registry]


def operations() -> Registry:
    """Every operation of the house. Raises LookupError when nobody told."""
    if not _known:
        raise LookupError("access was not told which operations exist")
    return _known[0]


def scopes() -> frozenset[str]:
    """Names of the operations that service accounts may be scoped to."""
    return grantable_scopes(operations())
