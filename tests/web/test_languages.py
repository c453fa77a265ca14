"""Which language a page is in, how it gets there, and what a catalogue may not do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import write_po
from babel.support import Translations
from jinja2 import Environment
from markupsafe import Markup

from subscription_services.kernel.errors import Invalid
from subscription_services.kernel.money import Money
from subscription_services.kernel.words import Words, counted, joined, reader, table, words
from subscription_services.web.languages import ENGLISH, LANGUAGES, Language, language_for, read_catalogues
from subscription_services.web.page import PageContext
from subscription_services.web.render import make_environment, page, render
from subscription_services.web.words import amount, day

NOW = datetime(2026, 11, 24, 7, 6, tzinfo=UTC)
GERMAN = {
    "Hello, %(name)s": "Guten Tag, %(name)s", "Save": 'Spei"chern', "at most %(count)s": "höchstens %(count)s",
    "due on %(day)s": "fällig am %(day)s", "<b>%(name)s</b> is here": "<b>%(name)s</b> ist da",
    "100%% sure": "zu 100%% sicher",
}  # fmt: skip


def german() -> Catalog:
    made = Catalog(locale="de")
    for english, text in GERMAN.items():
        made.add(english, text)
    made.add(("%(num)s device", "%(num)s devices"), ("%(num)s Gerät", "%(num)s Geräte"))
    return made


@pytest.fixture
def language(monkeypatch: pytest.MonkeyPatch) -> Language:
    compiled = BytesIO()
    write_mo(compiled, german())
    compiled.seek(0)
    found = Language("de", "de", Translations(compiled))
    monkeypatch.setitem(LANGUAGES, "de", found)
    return found


@pytest.fixture
def environment(language: Language) -> Environment:
    return make_environment({}, _NoAssets(), language)  # type: ignore[arg-type]  # templates here ask for no asset


class _NoAssets:
    def url(self, name: str) -> str:
        return name


def shown(environment: Environment, source: str, **data: object) -> str:
    return environment.from_string(source).render(**data)


@pytest.mark.parametrize(
    ("accepted", "code"),
    [
        (None, "en"), ("", "en"), ("de", "de"), ("de-AT", "de"), ("DE;q=0.5, en;q=0.9", "en"), ("fr, de;q=0.2", "de"),
        ("fr", "en"), ("*", "en"), ("de;q=0", "en"), ("de;q=x, ,;q=1", "en"), ("fr, *, de", "en"), ("x" * 5000, "en"),
        ("de_AT\x00;q=1", "en"), ("-", "en"),
    ],
)  # fmt: skip
def test_the_reader_s_language_is_the_best_of_ours(language: Language, accepted: str | None, code: str) -> None:
    assert language_for(accepted).code == code


def test_a_page_says_its_language_and_that_it_was_chosen(language: Language) -> None:
    answer = render("problem_types.html", PageContext(language="de"), kinds=())
    assert answer.headers["content-language"] == "de"
    assert answer.headers["vary"] == "Accept-Language"
    assert b'<html lang="de">' in answer.body


def test_pages_of_two_languages_do_not_mix(language: Language) -> None:
    async def both() -> tuple[str, str]:
        view = PageContext()
        first = page("home.html", PageContext(language="de"))
        return first, page("home.html", view)

    german_page, english_page = asyncio.run(both())
    assert 'lang="de"' in german_page
    assert 'lang="en"' in english_page


def test_text_is_text_and_what_is_html_stays_so(environment: Environment) -> None:
    assert shown(environment, '<i title="{{ _("Save") }}">') == '<i title="Spei&#34;chern">'
    assert shown(environment, '{{ _("Hello, %(name)s", name=who) }}', who="<Ada>") == "Guten Tag, &lt;Ada&gt;"
    assert shown(environment, '{{ _("due on %(day)s", day=at) }}', at=Markup("<time>1</time>")) == (
        "fällig am <time>1</time>"
    )
    text = "{% trans name=who %}<b>{{ name }}</b> is here{% endtrans %}"
    assert shown(environment, text, who="<Ada>") == "<b>&lt;Ada&gt;</b> ist da"
    assert shown(environment, "{% trans %}100% sure{% endtrans %}") == "zu 100% sicher"


def test_what_is_known_only_when_the_page_is_made_is_translated_too(environment: Environment) -> None:
    assert shown(environment, "{{ _(text) }}", text="Save") == "Spei&#34;chern"
    assert shown(environment, "{{ _(text, name=who) }}", text="Hello, %(name)s", who="Ada") == "Guten Tag, Ada"
    assert shown(environment, "{{ _(text) }}", text=words("at most %(count)s", count=3)) == "höchstens 3"
    assert shown(environment, "{{ _(text) }}", text="100% unknown") == "100% unknown"


@pytest.mark.parametrize(("number", "text"), [(1, "1 Gerät"), (3, "3 Geräte")])
def test_numbers_choose_their_wording(environment: Environment, language: Language, number: int, text: str) -> None:
    source = '{{ ngettext("%(num)s device", "%(num)s devices", n) }}'
    assert shown(environment, source, n=number) == text
    assert counted("%(num)s device", "%(num)s devices", number).said(language) == text
    assert shown(make_environment({}, _NoAssets()), source, n=number) == text.replace("Geräte", "devices").replace(  # type: ignore[arg-type]
        "Gerät", "device"
    )


def test_words_are_english_for_programs_and_show_themselves_to_readers(language: Language) -> None:
    said = words("at most %(count)s", count=3)
    assert said == "at most 3"
    token = reader.set(None)
    assert Markup("{}").format(said) == "at most 3"
    reader.set(language)
    try:
        assert Markup("{}").format(said) == "höchstens 3"
        assert str(said) == "at most 3"
    finally:
        reader.reset(token)


def test_dates_and_money_among_the_words_follow_the_language(language: Language) -> None:
    due = words("due on %(day)s", day=day(NOW))
    assert (str(due), due.said(language)) == ("due on 24 November 2026", "fällig am 24 November 2026")
    assert (str(amount(Money(1999, "EUR"))), amount(Money(1999, "EUR")).said(language)) == ("€19.99", "19,99\xa0€")


def test_lists_leave_out_what_is_not_there(language: Language) -> None:
    assert joined("", "Firefox", "", "192.0.2.7") == "Firefox, 192.0.2.7"
    assert not joined("", "")
    assert joined(words("Save"), "x").said(language) == 'Spei"chern, x'
    assert isinstance(table({1: "Save"})[1], Words)


def test_an_error_says_english_to_programs_and_words_to_pages(language: Language) -> None:
    error = Invalid(words("at most %(count)s", count=3), fields={"name": words("at most %(count)s", count=4)})
    assert (type(error.text), error.text, error.fields) == (str, "at most 3", {"name": "at most 4"})
    assert error.words.said(language) == "höchstens 3"
    assert error.field_words["name"].said(language) == "höchstens 4"


def write(folder: Path, catalogue: Catalog, name: str = "de") -> None:
    place = folder / name / "LC_MESSAGES"
    place.mkdir(parents=True)
    with (place / "messages.po").open("wb") as file:
        write_po(file, catalogue)


def test_a_catalogue_is_read_at_the_start(tmp_path: Path) -> None:
    assert read_catalogues(tmp_path) == {}
    write(tmp_path, german(), "de_AT")
    (found,) = read_catalogues(tmp_path).values()
    assert (found.code, found.locale, found.gettext("Save")) == ("de-AT", "de_AT", 'Spei"chern')
    assert found.gettext("Nobody translated this") == "Nobody translated this"


def test_a_translation_that_loses_a_value_stops_the_start(tmp_path: Path) -> None:
    wrong = german()
    wrong["Hello, %(name)s"].string = "Guten Tag, %(nobody)s"
    write(tmp_path, wrong)
    with pytest.raises(ValueError, match="Hello"):
        read_catalogues(tmp_path)


def test_only_english_ships() -> None:
    assert list(LANGUAGES) == ["en"]
    assert ENGLISH.gettext("Save") == "Save"
