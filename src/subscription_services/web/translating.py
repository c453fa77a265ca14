"""Words of templates in a language: `_("...")` is text, `{% trans %}` and `ngettext` are HTML. Constants cost nothing.

Each language has its own environment, so what a template says in so many words is translated when it is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from babel.support import NullTranslations
from jinja2 import Environment, nodes
from jinja2.compiler import CodeGenerator
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from subscription_services.kernel.words import Words

from .languages import Language

_PLACE = re.compile(r"%\((\w+)\)s")


class TranslatingGenerator(CodeGenerator):
    """Jinja's compiler, after the constants were translated."""

    def visit_Template(self, node: nodes.Template, frame: Any = None) -> None:
        """See `_Constants`."""
        language = getattr(self.environment, "language", None)
        if language is not None:
            node = _Constants(language).visit(node)
        super().visit_Template(node, frame)


class _Constants(NodeTransformer):
    def __init__(self, language: Language) -> None:
        self._language = language

    def generic_visit(self, node: nodes.Node, *arguments: Any, **named: Any) -> nodes.Node:
        """Then what was a part of its own only to be translated goes out in one piece with its neighbours."""
        found: nodes.Node = super().generic_visit(node, *arguments, **named)
        for name in ("body", "else_"):
            if isinstance(body := getattr(found, name, None), list):
                setattr(found, name, _merged(body))
        return found

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        """What is said in so many words becomes its translation, with the values in their places."""
        self.generic_visit(node)
        if not isinstance(node.node, nodes.Name) or node.dyn_args or node.dyn_kwargs:
            return node
        values = {item.key: item.value for item in node.kwargs}
        match node.node.name, node.args:
            case "_", [nodes.Const(value=str(text))]:
                return _joined(self._language.gettext(text), values, str)
            case "gettext", [nodes.Const(value=str(text))]:
                return _joined(self._language.gettext(text), values, Markup)
            case "ngettext", [nodes.Const(value=str(one)), nodes.Const(value=str(many)), number]:
                if type(self._language.catalogue) is NullTranslations:  # other languages count otherwise
                    values = {"num": number, **values}
                    two = [_joined(text, values, Markup) for text in (one, many)]
                    return nodes.CondExpr(nodes.Compare(number, [nodes.Operand("eq", nodes.Const(1))]), *two)
        return node


def _merged(body: list[nodes.Node]) -> list[nodes.Node]:
    merged: list[nodes.Node] = []
    for node in body:
        if isinstance(node, nodes.Output) and merged and isinstance(merged[-1], nodes.Output):
            merged[-1].nodes.extend(node.nodes)
        else:
            merged.append(node)
    return merged


def _joined(text: str, values: dict[str, nodes.Expr], kind: type[str]) -> nodes.Expr:
    """The text with its values between: Jinja joins them, and escapes what is not HTML where some of it is."""
    if not values and kind is str:
        return nodes.Const(text)
    parts: list[nodes.Expr] = []
    for index, part in enumerate(_PLACE.split(text)):
        if index % 2:
            parts.append(values[part])
        elif part:
            parts.append(nodes.Const(kind(part.replace("%%", "%"))))
    return nodes.Concat(parts) if len(parts) > 1 else parts[0]


def speak(environment: Environment, language: Language) -> None:
    """Have the environment speak that language."""
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # put there by the extension
        language.gettext, language.ngettext, newstyle=True
    )
    environment.language = language  # type: ignore[attr-defined]  # for the generator
    environment.code_generator_class = TranslatingGenerator
    environment.globals["_"] = _said_in(language)


def _said_in(language: Language) -> Callable[..., str]:
    def said(text: str, /, **values: Any) -> str:
        """Text, never HTML; what is HTML among the values stays so."""
        found = text.said(language) if isinstance(text, Words) else language.gettext(text)
        if not values:
            return found
        if any(hasattr(value, "__html__") for value in values.values()):
            return escape(found) % values
        return found % values

    return said
