"""From template, reader and data to an answer. Jinja2 with autoescape and no silent undefined names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import segno
from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined, Template
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse

from subscription_services.kernel.words import reader
from subscription_services.web.assets import Assets
from subscription_services.web.fixed import Fixed
from subscription_services.web.icons import ICONS, STATES
from subscription_services.web.languages import ENGLISH, LANGUAGES, Language
from subscription_services.web.page import NavItem, PageContext, current_of
from subscription_services.web.translating import speak
from subscription_services.web.words import JUST_NOW, ago_text, date_text, iso, money_text, time_text

TEMPLATES = Path(__file__).parent / "templates"
ROOMS = Path(__file__).parent.parent


def make_environment(rooms: Mapping[str, Path], assets: Assets, language: Language = ENGLISH) -> Environment:
    """Templates of web/ by their name, those of a room as "<room>/<name>"; `ui` holds the components."""
    reader.set(language)  # parts that are the same for everybody are rendered while they are loaded
    prefixes: dict[str, BaseLoader] = {room: FileSystemLoader(folder) for room, folder in sorted(rooms.items())}
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(TEMPLATES), PrefixLoader(prefixes)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        extensions=["jinja2.ext.do", "jinja2.ext.i18n", Fixed],
    )
    speak(environment, language)
    environment.globals.update(icons=ICONS, statuses=STATES, asset=assets.url)
    environment.globals["money_text"] = partial(money_text, locale=language.locale)
    environment.filters["iso"] = iso
    for write in (time_text, date_text):
        environment.filters[write.__name__] = partial(write, locale=language.locale)
    just_now = JUST_NOW.said(language)
    environment.filters["ago_text"] = partial(ago_text, locale=language.locale, just_now=just_now)

    # links look the same to all who have them and stand at the same place of them
    @lru_cache(maxsize=512)
    def remembered(macro: str, items: tuple[NavItem, ...], current: tuple[NavItem, ...], *words: str) -> Markup:
        drawn: Markup = getattr(components, macro)(items, current, *words)
        return drawn

    def links_at(macro: str, items: tuple[NavItem, ...], path: str, *words: str) -> Markup:
        return remembered(macro, items, current_of(items, path), *words)

    environment.globals["links_at"] = links_at
    components: Any = environment.get_template("components.html").module
    environment.globals["ui"] = components
    return environment


def room_templates() -> dict[str, Path]:
    """The `templates` folder of each room that has one, by the room's name."""
    return {folder.parent.name: folder for folder in sorted(ROOMS.glob("*/templates")) if folder.parent.name != "web"}


ASSETS = Assets()


@cache
def _environment(language: str) -> Environment:
    return make_environment(room_templates(), ASSETS, LANGUAGES[language])


@cache
def _template(name: str, language: str) -> Template:
    """Its globals as one plain dictionary: they are copied at every page, and the library's chain of them is slow."""
    found = _environment(language).get_template(name)
    found.globals = dict(found.globals)
    return found


def page(template: str, view: PageContext, **data: Any) -> str:
    """The text of a page. Raises jinja2.UndefinedError for a name that the handler forgot to give."""
    reader.set(LANGUAGES[view.language])
    return _template(template, view.language).render(view=view, **data)


def render(
    template: str,
    view: PageContext,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **data: Any,
) -> HTMLResponse:
    """A page as an answer, in UTF-8. `data` are the names that the template uses besides `view` and `ui`."""
    spoken = {"Content-Language": view.language, "Vary": "Accept-Language"}
    return HTMLResponse(page(template, view, **data), status_code=status, headers={**spoken, **(headers or {})})


def see_other(path: str) -> RedirectResponse:
    """303 to a page of ours, the answer to a successful POST. Raises ValueError for any other address."""
    if not path.startswith("/") or path.startswith(("//", "/\\")) or any(c in path for c in "\r\n\t\\"):
        raise ValueError("a redirect must stay on this site")
    return RedirectResponse(path, status_code=303)


def qr(text: str) -> Markup:
    """A QR code (ISO/IEC 18004, error correction M) as inline SVG without style attributes, for `ui.qr`."""
    code = segno.make(text, error="m", micro=False)
    svg = code.svg_inline(omitsize=True, border=4, svgclass=None, lineclass=None)
    return Markup(svg)  # noqa: S704  drawn by segno: modules only, the text itself is not in it
