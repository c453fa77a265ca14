"""What is the same for everybody is rendered once, and can hold nothing of anybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from subscription_services.web.page import NavItem, PageContext, Person
from subscription_services.web.render import ASSETS, ROOMS, make_environment, page, room_templates

VIEW = PageContext(path="/a", nav=(NavItem("One", "/a"), NavItem("Two", "/b")), person=Person("Ada"))


def rendered(tmp_path: Path, text: str, **data: object) -> list[str]:
    (tmp_path / "t.html").write_text(text)
    template = make_environment({"room": tmp_path}, ASSETS).get_template("room/t.html")
    return [template.render(view=VIEW, number=number, **data) for number in (1, 2)]


def test_it_stands_where_it_was_and_the_rest_is_rendered_each_time(tmp_path: Path) -> None:
    text = '<p>{{ number }}{% fixed %}{% call ui.card("A & B") %}{{ ui.icon("check") }}{% endcall %}{% endfixed %}</p>'
    plain = text.replace("{% fixed %}", "").replace("{% endfixed %}", "")
    assert rendered(tmp_path, text) == rendered(tmp_path, plain)
    assert "A &amp; B" in rendered(tmp_path, text)[0]


def test_it_escapes_as_ever_inside_a_component(tmp_path: Path) -> None:
    text = '{% call ui.card("x") %}{% fixed %}{{ "<b>" }}{% endfixed %}{{ given }}{% endcall %}'
    for page_text in rendered(tmp_path, text, given="<i>"):
        assert "&lt;b&gt;" in page_text
        assert "&lt;i&gt;" in page_text
        assert "<b>" not in page_text


@pytest.mark.parametrize("name", ["view", "number", "view.person.name", "view.csrf"])
def test_nothing_of_a_reader_gets_in(tmp_path: Path, name: str) -> None:
    with pytest.raises(UndefinedError):
        rendered(tmp_path, "{% fixed %}{{ " + name + " }}{% endfixed %}")


def test_every_template_loads() -> None:
    environment = make_environment(room_templates(), ASSETS)
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)
    assert len(environment.list_templates()) > len(list((ROOMS / "web" / "templates").iterdir()))


def test_remembered_links_follow_the_place_and_the_reader() -> None:
    def links(path: str, **more: object) -> str:
        shown = PageContext(path=path, nav=VIEW.nav, person=Person("Ada"), **more)  # type: ignore[arg-type]
        return page("problem_types.html", shown, kinds=())

    assert '<a href="/a" aria-current="page">' in links("/a")
    assert '<a href="/b" aria-current="page">' in links("/b")
    assert "aria-current" not in links("/c").split("<main")[0]
    menu = (NavItem("<b>Mine</b>", "/mine"),)
    assert "&lt;b&gt;Mine&lt;/b&gt;" in links("/a", account_nav=menu)
    assert "Mine" not in links("/a")
