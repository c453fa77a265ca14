"""Which errors an operation can raise, read from its own source, so that the documentation cannot forget one."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from subscription_services.kernel import errors
from subscription_services.kernel.needs import ApprovalsNeeded, OpenTask, RecentSignIn
from subscription_services.kernel.operations import Operation, no_subject, own_account

_PACKAGE = __name__.partition(".")[0]
_NEEDS: dict[type, type[errors.DomainError]] = {
    RecentSignIn: errors.StepUpNeeded,
    ApprovalsNeeded: errors.ApprovalNeeded,
    OpenTask: errors.TaskNeeded,
}


def failures(operation: Operation) -> list[type[errors.DomainError]]:
    """The errors of its needs and permission, and those that its functions make, by their codes."""
    found = {_NEEDS[type(need)] for need in operation.needs if type(need) in _NEEDS}
    if not operation.public and not operation.internal:
        found |= {errors.NotSignedIn, errors.Refusal}
    if operation.subject not in (own_account, no_subject):
        found |= {errors.NotFound} | _made_by(operation.subject, set())
    found |= _made_by(operation.run, set())
    if operation.concerns is not None:
        found |= _made_by(operation.concerns, set())
    if operation.prepare is not None:
        found |= _made_by(operation.prepare.run, set())
    by_code = {error.code: error for error in sorted(found, key=lambda error: error.__qualname__)}
    return [by_code[code] for code in sorted(by_code)]


def _made_by(function: Callable[..., Any], seen: set[Callable[..., Any]]) -> set[type[errors.DomainError]]:
    """Errors that `function` makes or raises, and those of the house's functions that it calls."""
    if function in seen:
        return set()
    seen.add(function)
    found: set[type[errors.DomainError]] = set()
    for name in _used(function):
        value = _resolve(function, name)
        if isinstance(value, type) and issubclass(value, errors.DomainError):
            found.add(value)
        elif inspect.isfunction(value) and value.__module__.startswith(f"{_PACKAGE}."):
            found |= _made_by(value, seen)
    return found


@cache
def _used(function: Callable[..., Any]) -> tuple[str, ...]:
    """Dotted names that are called or raised in the function's text."""
    return tuple(sorted(set(_names(ast.parse(textwrap.dedent(inspect.getsource(function)))))))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        used = node.func if isinstance(node, ast.Call) else node.exc if isinstance(node, ast.Raise) else None
        if isinstance(used, ast.Name):
            yield used.id
        elif isinstance(used, ast.Attribute) and isinstance(used.value, ast.Name):
            yield f"{used.value.id}.{used.attr}"


def _resolve(function: Callable[..., Any], name: str) -> Any:
    first, _, rest = name.partition(".")
    value = inspect.unwrap(function).__globals__.get(first)
    if not rest:
        return value
    return getattr(value, rest, None) if inspect.ismodule(value) else None
