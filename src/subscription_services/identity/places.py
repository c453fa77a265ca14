"""Where an address is, roughly: from a database in the MaxMind DB format, when the operators have one.

Found when it is shown, from the sealed address: the place itself is kept nowhere, and a newer database is used at once
after a restart.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import maxminddb

from subscription_services.kernel.errors import StartError
from subscription_services.kernel.words import words

UNKNOWN = words("unknown place")
_LONGEST = 60
_LANGUAGE = "en"
_open: list[maxminddb.Reader] = []


def use_places(path: str) -> None:
    """Open the database of this path, or none. Raises StartError for a file that is missing or something else."""
    for reader in _open:
        reader.close()
    _open.clear()
    near.cache_clear()
    if not path:
        return
    setting = "Check SUBS_IDENTITY_PLACES, or leave it empty."
    if not Path(path).is_file():
        raise StartError(f"There is no file {path}. {setting}")
    try:
        # read whole: a file that is replaced while it is open must not end the process
        _open.append(maxminddb.open_database(path, maxminddb.MODE_MEMORY))
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise StartError(f"{path} cannot be read as a database of places (MaxMind DB, .mmdb). {setting}") from error


@lru_cache(maxsize=4096)
def near(address: str) -> str:
    """ "near Lyon, France (approximate)", or "unknown place"."""
    if not _open or not address:
        return UNKNOWN
    try:
        found = _open[0].get(address)
    except (ValueError, maxminddb.InvalidDatabaseError):
        # no address, one of IPv6 in a database of IPv4, or a damaged record: no reason to fail
        return UNKNOWN
    if not isinstance(found, dict):
        return UNKNOWN
    city, country = _name(found.get("city")), _name(found.get("country"))
    if not city and not country:
        return UNKNOWN
    where = ", ".join(name for name in (city, country) if name)
    return words("near %(place)s (approximate)", place=where) if city else words("%(place)s (approximate)", place=where)


def _name(record: Any) -> str:
    """A name as GeoIP2 has it, or plain text as other publishers do; one line, whatever the file holds."""
    names = record.get("names", record.get("name")) if isinstance(record, dict) else record
    text = names.get(_LANGUAGE) if isinstance(names, dict) else names
    if not isinstance(text, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST]
