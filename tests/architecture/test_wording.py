"""Nothing that people read is left without a name for translators."""

from __future__ import annotations

import ast

import pytest

from subscription_services import messages
from subscription_services.messages import SOURCE, at_terminals, calls_in, error_names, texts

from .source import modules
from .wording import unwrapped

TEMPLATES = [path for path in sorted(SOURCE.glob("*/templates/*.html")) if path.name != "development.html"]


def test_every_text_of_a_template_is_named() -> None:
    found = [
        f"{path.relative_to(SOURCE).as_posix()}: {text}" for path in TEMPLATES for text in unwrapped(path.read_text())
    ]
    assert found == [], "name it with _() or {% trans %}:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>Hello</p>", "Hello"),
        ("<p>{{ name }} is here</p>", "{{ … }} is here"),
        ('<img alt="A cat">', 'alt="A cat"'),
        ('{{ ui.button("Save") }}', "Save"),
        ('{{ ui.card(lead="in so many words") }}', "in so many words"),
        ('{{ "Since " ~ day }}', "Since "),
        ('{% set words = {"a": "The first"} %}', "The first"),
        ("{% fixed %}<b>Bold</b>{% endfixed %}", "Bold"),
        ('{{ ui.field(form, "a", _("A"), hint="As %s" % x) }}', "As %s"),
    ],
)
def test_what_is_not_named_is_found(source: str, text: str) -> None:
    assert unwrapped(source) == [text]


@pytest.mark.parametrize(
    "source",
    [
        '{{ _("Hello %(name)s", name=person) }}',
        "<p>{% trans day=day %}It ends on <strong>{{ day }}</strong>.{% endtrans %}</p>",
        '{{ ui.button(_("Save"), kind="primary", busy=_("Saving…")) }}',
        '<p class="hint {{ tone }}">{{ text }}</p>',
        '{% if state == "Could not" %}{% endif %}{{ looks["Not a text"] }}',
        '{{ ngettext("a day", "%(num)s days", 3) }}',
    ],
)
def test_what_is_named_is_left_alone(source: str) -> None:
    assert unwrapped(source) == []


def test_errors_with_values_are_words() -> None:
    """An f-string has no name in a catalogue: `words("At most %(count)s.", count=3)` has."""
    kinds, found = error_names(), []
    for name, tree in modules():
        if at_terminals(name.replace(".", "/")):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in (*kinds, "words", "as_words", "with_notice"):
                fields = [value for item in node.keywords if item.arg == "fields" and isinstance(item.value, ast.Dict)
                          for value in item.value.values]  # fmt: skip
                if any(isinstance(value, ast.JoinedStr | ast.BinOp) for value in (*node.args[:1], *fields)):
                    found.append(f"{name}:{node.lineno}")
    assert found == []


def test_the_template_for_translators_is_the_same_each_time() -> None:
    assert messages.document() == messages.document()


def test_texts_are_found_where_they_stand() -> None:
    said = {text.one: text for text in texts()}
    for one in (
        "Hello, %(name)s",  # a template
        "With two-factor sign-in, a stolen password alone opens nothing. We strongly recommend it; it takes two "
        "minutes and a passkey on this device or an app on your phone.",  # inside {% fixed %}
        "The e-mail address or the password is not right.",  # an error's class
        "There is no account with this address or id.",  # where it is raised
        "That device is signed out.",  # a notice
        "Payment methods",  # a link
        "You may not do this",  # a problem of HTTP
        "Signed in with a code",  # a table
        "Set a new password for {product}",  # a letter
    ):
        assert one in said, one
    assert said["%(num)s minute"].many == "%(num)s minutes"


def test_a_module_is_read_as_it_is_written() -> None:
    tree = ast.parse('raise WrongCode("No.", fields={"code": "Not that."})\nx = table({"a": "One"})\ny = words(z)')
    found = [text.one for text in calls_in(tree, "identity/x.py", frozenset({"WrongCode"}))]
    assert sorted(found) == ["No.", "Not that.", "One"]
    assert [text.one for text in calls_in(tree, "commands/x.py", frozenset({"WrongCode"}))] == ["One"]


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
