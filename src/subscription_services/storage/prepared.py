"""A statement that is compiled once: for what runs at every request.

On the embedded store SQLAlchemy's work for a statement takes ten times as long as SQLite's, so its text, the order of
its values and their conversions are worked out once and it runs on the driver's own connection, in the transaction that
is open there. On PostgreSQL it runs as any other statement.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, LargeBinary, Select
from sqlalchemy.types import TypeEngine

from .sealed import Sealed

Convert = Callable[[Any], Any]
_MISSING = object()


@dataclass(frozen=True, slots=True)
class _Compiled:
    """`values` are name, conversion and fixed value of each place in `text`; `columns` the conversions that matter."""

    text: str
    values: tuple[tuple[str, Convert | None, Any], ...]
    columns: tuple[tuple[int, Convert], ...]
    row: Callable[[Any], Any]


class Prepared:
    """A SELECT whose every value is a `bindparam` or stands in it. Rows have their columns as attributes."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._compiled: _Compiled | None = None

    def first(self, connection: Connection, values: Mapping[str, Any]) -> Any | None:
        """The first row, or None. Raises KeyError for a value that is not given."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).first()
        compiled = self._compiled or self._compile(connection.dialect)
        found = _run(compiled, connection, values).fetchone()
        return None if found is None else _row(compiled, found)

    def all(self, connection: Connection, values: Mapping[str, Any]) -> list[Any]:
        """Every row."""
        if connection.dialect.name != "sqlite":
            return list(connection.execute(self._statement, values))
        compiled = self._compiled or self._compile(connection.dialect)
        return [_row(compiled, found) for found in _run(compiled, connection, values).fetchall()]

    def _compile(self, dialect: Dialect) -> _Compiled:
        # two threads may both do this: they come to the same
        made = self._statement.compile(dialect=dialect)
        values = tuple(_place(made.binds[name], dialect) for name in made.positiontup or ())
        selected = list(self._statement.selected_columns)
        ways_out = ((place, _on_the_way_out(column.type, dialect)) for place, column in enumerate(selected))
        columns = tuple((place, convert) for place, convert in ways_out if convert is not None)
        row = namedtuple("row", [column.key or f"column_{place}" for place, column in enumerate(selected)])  # type: ignore[misc]
        self._compiled = _Compiled(str(made), values, columns, row._make)
        return self._compiled


def _run(compiled: _Compiled, connection: Connection, values: Mapping[str, Any]) -> Any:
    given = [
        fixed if fixed is not _MISSING else values[name] if convert is None else convert(values[name])
        for name, convert, fixed in compiled.values
    ]
    return connection.connection.driver_connection.execute(compiled.text, given)  # type: ignore[union-attr]


def _row(compiled: _Compiled, found: tuple[Any, ...]) -> Any:
    if compiled.columns:
        cells = list(found)
        for place, convert in compiled.columns:
            cells[place] = convert(cells[place])
        return compiled.row(cells)
    return compiled.row(found)


def _place(bind: BindParameter[Any], dialect: Dialect) -> tuple[str, Convert | None, Any]:
    """The name of a value that is given; or the value that stands in the statement itself."""
    convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if bind.required:
        return bind.key, convert, _MISSING
    return "", None, bind.value if convert is None else convert(bind.value)


def _on_the_way_out(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    if isinstance(kind, LargeBinary | Sealed):
        return None  # bytes come as bytes
    return kind.dialect_impl(dialect).result_processor(dialect, None)
