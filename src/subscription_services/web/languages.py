"""The languages that pages are read in: English, and every catalogue that lies in `locale/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from babel import Locale, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

FOLDER = Path(__file__).parent.parent / "locale"


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """`code` is its BCP 47 tag, for `<html lang>`; `locale` that of CLDR."""

    code: str
    locale: str
    catalogue: NullTranslations

    def gettext(self, text: str) -> str:
        """The text in this language; English where nobody translated it yet."""
        return str(self.catalogue.gettext(text)) if text else ""

    def ngettext(self, one: str, many: str, number: int) -> str:
        """The wording for that number."""
        return str(self.catalogue.ngettext(one, many, number))


ENGLISH = Language("en", "en_GB", NullTranslations())
LANGUAGES: dict[str, Language] = {ENGLISH.code: ENGLISH}


def read_catalogues(folder: Path = FOLDER) -> Mapping[str, Language]:
    """Every `<language>/LC_MESSAGES/messages.po`. Raises ValueError for one that would not fit its English."""
    found: dict[str, Language] = {}
    for path in sorted(folder.glob("*/LC_MESSAGES/messages.po")):
        locale = Locale.parse(path.parts[-3])
        with path.open("rb") as file:
            catalogue = read_po(file, locale=locale)
        for message in catalogue:
            if problems := [str(problem) for problem in message.check(catalogue)]:
                raise ValueError(f"{path}: {message.id!r}: {problems[0]}")
        compiled = BytesIO()
        write_mo(compiled, catalogue)
        compiled.seek(0)
        code = str(locale).replace("_", "-")
        found[code] = Language(code, str(locale), Translations(compiled))
    return found


LANGUAGES.update(read_catalogues())


def language_for(accepted: str | None) -> Language:
    """The best of our languages for an Accept-Language header (RFC 9110, 12.5.4)."""
    if not accepted or len(LANGUAGES) == 1:
        return ENGLISH
    return _negotiated(accepted[:200], tuple(LANGUAGES))


@lru_cache(maxsize=1024)
def _negotiated(accepted: str, known: tuple[str, ...]) -> Language:
    weighed: list[tuple[float, str]] = []
    for part in accepted.split(","):
        name, _, parameters = part.partition(";")
        quality = parameters.strip().removeprefix("q=") if parameters else "1"
        try:
            weight = float(quality)
        except ValueError:
            continue
        if name.strip() and weight > 0:
            weighed.append((-weight, name.strip()))
    wanted = [name for _, name in sorted(weighed, key=lambda pair: pair[0])]
    for name in wanted:
        if name == "*":
            break
        best = negotiate_locale([name], known, sep="-")
        if best is not None:
            return LANGUAGES[best]
    return ENGLISH
