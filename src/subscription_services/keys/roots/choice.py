"""From an address to the holder of the root key."""

from __future__ import annotations

from pathlib import Path

from subscription_services.kernel.clock import Random

from . import aws_kms, file, token, transit
from .address import Address, AwsAddress, FileAddress, TokenAddress, TransitAddress
from .providers import Wrapping


def open_root(address: Address, directory: Path, random: Random) -> Wrapping:
    """Reach the root key and see that it is fit for use.

    Raises RootKeyMissing, RootKeyUnsafe, RootKeyRefused, RootKeyUnreachable, and StartError when a library is missing.
    """
    match address:
        case FileAddress():
            return file.read_root(file_of(address, directory))
        case TokenAddress():
            return token.TokenRoot(address, random)
        case AwsAddress():
            return aws_kms.AwsRoot(address)
        case TransitAddress():
            return transit.TransitRoot(address)


def create_root(address: Address, directory: Path, random: Random) -> str:
    """Make a root key that is not there yet; returns the address for SUBS_KEYS_ROOT.

    Raises RootKeyUnsafe when there is one, and what open_root raises.
    """
    match address:
        case FileAddress():
            path = file_of(address, directory)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.create_root(path, random)
        case TokenAddress():
            token.create_key(address, random)
        case AwsAddress():
            return aws_kms.create_key(address)
        case TransitAddress():
            transit.create_key(address)
    return str(address)


def file_of(address: FileAddress, directory: Path) -> Path:
    """The file that a file address names."""
    return address.path or directory / "root.key"
