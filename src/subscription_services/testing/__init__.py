"""What others need to test against us: a whole house on a real database, with a clock that tests move."""

from .cases import Case
from .clock import MovingClock
from .postgres import PostgresServer, find_postgres
from .world import World, prepared_template

__all__ = ["Case", "MovingClock", "PostgresServer", "World", "find_postgres", "prepared_template"]
