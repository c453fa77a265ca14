"""`{% fixed %} ... {% endfixed %}`: a part of a page that is the same for everybody, rendered once when it is loaded.

It sees what every template sees (`ui`, `asset`, icons) and nothing else: the reader, their data and the tokens of their
forms do not exist there, so that nobody's can stay behind for the next one.
"""

from __future__ import annotations

from jinja2 import nodes
from jinja2.environment import Template
from jinja2.ext import Extension
from jinja2.parser import Parser


class Fixed(Extension):
    """Raises jinja2.UndefinedError, when the template is loaded, for a name that is not everybody's."""

    tags = {"fixed"}

    def parse(self, parser: Parser) -> nodes.Node:
        """The rendered text in the place of the tag."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endfixed",), drop_needle=True)
        alone = nodes.Template(body, lineno=line)
        alone.set_environment(self.environment)
        code = self.environment.compile(alone, parser.name, parser.filename)
        text = Template.from_code(self.environment, code, self.environment.globals).render()
        return nodes.Output([nodes.TemplateData(text)], lineno=line)
