"""Where the root key is, as the one setting SUBS_KEYS_ROOT says it. An address holds no secret, only where one is."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, unquote_to_bytes, urlsplit

from subscription_services.kernel.errors import SettingsError

_ARN = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:(key|alias)/[A-Za-z0-9/_-]+")
_ALIAS = re.compile(r"alias/[A-Za-z0-9/_-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class FileAddress:
    """``file:`` is root.key beside the key store, ``file:/path`` elsewhere."""

    path: Path | None

    def __str__(self) -> str:
        return f"file:{self.path or ''}"


@dataclass(frozen=True, slots=True)
class TokenAddress:
    """A key in a PKCS#11 token, as an RFC 7512 URI: ``pkcs11:token=T;object=K?module-path=M&pin-source=file:P``."""

    text: str
    module: Path
    pin: Path
    token: str
    serial: bytes | None
    label: str
    id: bytes | None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class AwsAddress:
    """``aws-kms:ARN`` or ``aws-kms:alias/NAME?region=R``; ``endpoint`` for a private one."""

    text: str
    key: str
    region: str
    endpoint: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class TransitAddress:
    """``vault:https://host:port/MOUNT/KEY?token-file=P``, with ``ca-file`` and ``namespace`` when needed."""

    text: str
    origin: str
    mount: str
    key: str
    token: Path
    authority: Path | None
    namespace: str

    def __str__(self) -> str:
        return self.text


Address = FileAddress | TokenAddress | AwsAddress | TransitAddress


def parse(text: str) -> Address:
    """Read an address. Raises SettingsError, which says what is accepted."""
    scheme, colon, rest = text.strip().partition(":")
    reader = _READERS.get(scheme)
    if not colon or reader is None:
        raise SettingsError(
            f"SUBS_KEYS_ROOT begins with {', '.join(f'{name}:' for name in _READERS)}; {text[:60]!r} does not."
        )
    return reader(rest)


def _file(rest: str) -> Address:
    if rest and not rest.startswith("/"):
        raise _wrong("file", "the path after file: is absolute")
    return FileAddress(Path(rest) if rest else None)


def _token(rest: str) -> Address:
    path, _, query = rest.partition("?")
    found = _attributes("pkcs11", path.split(";"))
    asked = _attributes("pkcs11", query.split("&"))
    if "pin-value" in asked:
        raise _wrong("pkcs11", "a PIN never stands in a setting: write it to a file and name that in pin-source")
    _known("pkcs11", found, ("token", "serial", "object", "id", "type", "manufacturer", "model"))
    _known("pkcs11", asked, ("module-path", "pin-source"))
    if found.get("type", b"secret-key") != b"secret-key":
        raise _wrong("pkcs11", "type is secret-key")
    if not (found.get("token") and (found.get("object") or found.get("id"))):
        raise _wrong("pkcs11", "token=... and object=... name the token and the key")
    source = _text("pkcs11", asked, "pin-source").removeprefix("file:")
    return TokenAddress(
        text=f"pkcs11:{rest}", module=_absolute("pkcs11", "module-path", _text("pkcs11", asked, "module-path")),
        pin=_absolute("pkcs11", "pin-source", "/" + source.lstrip("/") if source.startswith("//") else source),
        token=_text("pkcs11", found, "token"), serial=found.get("serial"), label=_text("pkcs11", found, "object"),
        id=found.get("id"),
    )  # fmt: skip


def _aws(rest: str) -> Address:
    key, _, query = rest.partition("?")
    asked = _query("aws-kms", query, ("region", "endpoint"))
    arn = _ARN.fullmatch(key)
    if arn is None and not _ALIAS.fullmatch(key):
        raise _wrong("aws-kms", "the key is an ARN or alias/NAME")
    region = asked.get("region") or (arn["region"] if arn else "")
    if not region or (arn and arn["region"] != region):
        raise _wrong("aws-kms", "region is that of the key")
    endpoint = asked.get("endpoint", "")
    if endpoint:
        _encrypted("aws-kms", endpoint)
    return AwsAddress(f"aws-kms:{rest}", key, region, endpoint)


def _transit(rest: str) -> Address:
    parts = urlsplit(rest)
    _encrypted("vault", rest)
    mount, _, key = parts.path.strip("/").rpartition("/")
    if not mount or not _NAME.fullmatch(key) or not all(_NAME.fullmatch(part) for part in mount.split("/")):
        raise _wrong("vault", "the path is MOUNT/KEY, such as /transit/subs-root")
    asked = _query("vault", parts.query, ("token-file", "ca-file", "namespace"))
    authority = asked.get("ca-file")
    return TransitAddress(
        text=f"vault:{rest}", origin=f"{parts.scheme}://{parts.netloc}", mount=mount, key=key,
        token=_absolute("vault", "token-file", asked.get("token-file", "")),
        authority=_absolute("vault", "ca-file", authority) if authority else None,
        namespace=asked.get("namespace", ""),
    )  # fmt: skip


_READERS: dict[str, Callable[[str], Address]] = {
    "file": _file, "pkcs11": _token, "aws-kms": _aws, "vault": _transit,
}  # fmt: skip
_SHAPES = {
    "file": "file: or file:/path/to/root.key",
    "pkcs11": "pkcs11:token=TOKEN;object=KEY?module-path=/path/to/module.so&pin-source=file:/path/to/pin",
    "aws-kms": "aws-kms:arn:aws:kms:REGION:ACCOUNT:key/ID or aws-kms:alias/NAME?region=REGION",
    "vault": "vault:https://HOST:8200/transit/KEY?token-file=/path/to/token",
}


def _wrong(scheme: str, why: str) -> SettingsError:
    return SettingsError(f"The root key's address is not valid: {why}. It looks like {_SHAPES[scheme]}.")


def _attributes(scheme: str, parts: Iterable[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if part and (not equals or name in found):
            raise _wrong(scheme, f"{unquote(name)[:40]!r} is given twice or without a value")
        if part:
            found[name] = unquote_to_bytes(value)
    return found


def _query(scheme: str, text: str, names: tuple[str, ...]) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    _known(scheme, (name for name, _ in pairs), names)
    if len(dict(pairs)) != len(pairs):
        raise _wrong(scheme, "something is given twice")
    return dict(pairs)


def _known(scheme: str, names: Iterable[str], accepted: tuple[str, ...]) -> None:
    for name in names:
        if name not in accepted:
            raise _wrong(scheme, f"{name[:40]!r} is unknown; {', '.join(accepted)} are known")


def _text(scheme: str, values: dict[str, bytes], name: str) -> str:
    try:
        return values.get(name, b"").decode()
    except UnicodeDecodeError:
        raise _wrong(scheme, f"{name} is UTF-8") from None


def _absolute(scheme: str, name: str, path: str) -> Path:
    if not path.startswith("/"):
        raise _wrong(scheme, f"{name} is an absolute path")
    return Path(path)


def _encrypted(scheme: str, url: str) -> None:
    """Only HTTPS, save on this machine; and no password in the address."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong(scheme, "the host or port cannot be read") from None
    if parts.username or parts.password:
        raise _wrong(scheme, "a password never stands in a setting")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _here(host))):
        raise _wrong(scheme, "the service is reached by https:// (http:// only on this machine)")


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
