"""Generated files: docs/ from the registry and the settings alone, and the texts for translators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from subscription_services import access, app, messages
from subscription_services.kernel.operations import Registry
from subscription_services.kernel.settings import entries

ROOT = Path(__file__).parents[2]


def documents() -> Mapping[str, str]:
    """Path below the repository to text."""
    registry = Registry(app.OPERATIONS)
    return {
        "docs/operations.md": access.operations_document(registry),
        "docs/roles.md": access.roles_document(registry),
        "docs/settings.md": _settings(),
        messages.FILE.relative_to(ROOT).as_posix(): messages.document(),
    }


def stale() -> list[str]:
    """Names of the files that are not as they should be."""
    return [name for name, text in documents().items() if not _same(ROOT / name, text)]


def write() -> list[str]:
    """Write what is stale; returns the names."""
    names = stale()
    for name in names:
        (ROOT / name).write_text(documents()[name], "utf-8")
    return names


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text("utf-8") == text


def _settings() -> str:
    lines = [
        "# Settings", "",
        "From `SUBS_*` variables, or from one TOML file that `SUBS_CONFIG` names (a section for a room; the variable",
        "without `SUBS_` and the room). Unknown settings are refused at start. Written by `subs document`.", "",
        "| variable | default | what it does |", "|---|---|---|",
    ]  # fmt: skip
    for part in app.SLICES:
        for entry in entries(part):
            lines.append(
                f"| `{entry.variable}` | {_default(entry.default)} | {entry.says.replace('|', chr(92) + '|')} |"
            )
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    return "(empty)" if value == "" else f"`{value}`"
