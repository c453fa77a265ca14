"""Settings: parsed once from `SUBS_*` variables or one TOML file into frozen slices; unknown keys are fatal.

Each room declares its slice as a frozen Struct whose fields carry `Annotated[type, Says("consequence")]`; the
manual is generated from them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec

from .errors import SettingsError

S = TypeVar("S", bound=msgspec.Struct)
PREFIX = "SUBS_"
CONFIG = "SUBS_CONFIG"
_OUTSIDE = frozenset({CONFIG, "SUBS_CLOCK_OFFSET"})


@dataclass(frozen=True, slots=True)
class Says:
    """What a setting does and what follows from changing it, in a sentence for operators.

    The value of a `secret` one is never shown or logged, only that it changed."""

    text: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """A room's part of the settings; `prefix` is "" for the house itself."""

    prefix: str
    type: type[msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Entry:
    """One documented setting."""

    variable: str
    field: str
    type: Any
    default: Any
    says: str
    secret: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """Every slice, by its type."""

    slices: Mapping[type[msgspec.Struct], msgspec.Struct]

    def of(self, kind: type[S]) -> S:
        """The slice of type `kind`."""
        found = self.slices[kind]
        assert isinstance(found, kind)
        return found


class HouseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the installation as a whole."""

    data: Annotated[
        str,
        Says(
            "Directory that holds everything the service keeps. Leave its folders keys and key-backups out of every "
            "backup that is kept longer than those of the keys, or erased people come back with it."
        ),
    ] = "var"
    https_port: Annotated[int, Says("Port of the HTTPS listener.")] = 8443
    http_port: Annotated[int, Says("Port of the plain HTTP listener, which only sends browsers to HTTPS.")] = 8080
    host: Annotated[str, Says("Address the listeners bind to. 0.0.0.0 makes the service reachable.")] = "127.0.0.1"
    public_name: Annotated[str, Says("Host name in links and certificates; other Host headers are refused.")] = (
        "localhost"
    )
    database: Annotated[
        str, Says("Empty for the embedded store, else a URL: postgresql://user:password@host/name.", secret=True)
    ] = ""
    approvals_database: Annotated[
        str,
        Says(
            "PostgreSQL: the same database as a role that alone may write approvals (`subs database approvals-role` "
            "prints how to make it). Empty: the service's own role writes them, so whoever has its password can insert "
            "rows, which still count for nothing without the approver's signature.",
            secret=True,
        ),
    ] = ""
    limits_url: Annotated[
        str,
        Says(
            "Where limits are counted when many nodes share them: empty for the database, else Valkey or Redis, "
            "rediss://user:password@host:port/0; redis:// only on this machine. While it fails the database counts.",
            secret=True,
        ),
    ] = ""
    processes: Annotated[int, Says("Web processes. More than the machine's cores gains nothing.")] = 2
    sandbox: Annotated[
        bool,
        Says("Use the stand-in payment processor and mailbox. Stamps the database as sandbox for ever."),
    ] = False
    mailbox_url: Annotated[str, Says("Where the sandbox's mailbox is read; pages link to it. Empty for none.")] = ""
    development: Annotated[bool, Says("Show pages for developers. Never on a public installation.")] = False
    domain: Annotated[str, Says("Domain of the contact addresses security@, privacy@ and abuse@.")] = (
        "my-subscription-services.com"
    )
    log_level: Annotated[str, Says("Least severity that is written to the log: debug, info, warning or error.")] = (
        "info"
    )

    @property
    def data_path(self) -> Path:
        return Path(self.data).resolve()

    @property
    def public_url(self) -> str:
        port = "" if self.https_port == 443 else f":{self.https_port}"
        return f"https://{self.public_name}{port}"

    @property
    def origins(self) -> tuple[str, ...]:
        """Under which the service is reached: its public one, and those of this machine."""
        local = (f"https://{host}:{self.https_port}" for host in ("localhost", "127.0.0.1", "[::1]"))
        return tuple(dict.fromkeys((self.public_url, *local)))


def entries(part: Slice) -> Iterator[Entry]:
    """The documented settings of one slice. Raises SettingsError where a field does not say what it does."""
    hints = get_type_hints(part.type, include_extras=True)
    for field in msgspec.structs.fields(part.type):
        says = [extra for extra in get_args(hints[field.name])[1:] if isinstance(extra, Says)]
        if not says:
            raise SettingsError(f"{part.type.__name__}.{field.name} does not say what it does")
        head = f"{part.prefix}_" if part.prefix else ""
        yield Entry(
            f"{PREFIX}{head}{field.name}".upper(), field.name, field.type, field.default, says[0].text, says[0].secret
        )


def load(parts: tuple[Slice, ...], environment: Mapping[str, str]) -> Settings:
    """Read the TOML file named by SUBS_CONFIG, then the environment over it. Raises SettingsError."""
    table = _read_toml(environment.get(CONFIG, ""))
    raw: dict[type[msgspec.Struct], dict[str, Any]] = {part.type: {} for part in parts}
    known = {entry.variable: (part.type, entry) for part in parts for entry in entries(part)}
    for part in parts:
        section = table.pop(part.prefix, {}) if part.prefix else _top_level(table)
        for key, value in section.items():
            if f"{PREFIX}{part.prefix + '_' if part.prefix else ''}{key}".upper() not in known:
                raise SettingsError(
                    f"The configuration file has an unknown setting {part.prefix or 'top level'}.{key}."
                )
            raw[part.type][key] = value
    if table:
        raise SettingsError(f"The configuration file has an unknown section [{sorted(table)[0]}].")
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in _OUTSIDE:
            continue
        if variable not in known:
            raise SettingsError(f"{variable} is not a setting. `subs settings` lists them all.")
        kind, entry = known[variable]
        raw[kind][entry.field] = text
    return Settings({part.type: _convert(part, raw[part.type]) for part in parts})


def _convert(part: Slice, values: dict[str, Any]) -> msgspec.Struct:
    try:
        return msgspec.convert(values, part.type, strict=False)
    except msgspec.ValidationError as error:
        where = f"[{part.prefix}]" if part.prefix else "the top level"
        raise SettingsError(f"A setting of {where} is not valid: {error}") from error


def _top_level(table: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    for key in plain:
        del table[key]
    return plain


def _read_toml(path: str) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"SUBS_CONFIG names {path}, which cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The configuration file {path} is not valid TOML: {error}") from error
