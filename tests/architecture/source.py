"""Reading our own source, for the rules that no linter has."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "subscription_services"
PACKAGE = "subscription_services"


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the service with its dotted name below the package, parsed."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text("utf-8"))


def imports(name: str, tree: ast.Module) -> Iterator[str]:
    """Absolute dotted names that a module imports from the package, without the package's own name."""
    path = SOURCE / Path(*name.split("."))
    own = name.split(".") if path.is_dir() else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(f"{PACKAGE}."):
                    yield alias.name.removeprefix(f"{PACKAGE}.")
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = own[: len(own) - node.level + 1]
                head = ".".join([*base, *([node.module] if node.module else [])])
            elif node.module == PACKAGE:
                head = ""
            elif node.module and node.module.startswith(f"{PACKAGE}."):
                head = node.module.removeprefix(f"{PACKAGE}.")
            else:
                continue
            for alias in node.names:
                full = f"{head}.{alias.name}" if head else alias.name
                target = SOURCE / Path(*full.split("."))
                yield full if target.is_dir() or target.with_suffix(".py").exists() else head
