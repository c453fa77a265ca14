"""What others need to test against us: a whole house on a real database, with a clock that tests move."""

from .cases import Case
from .clock import MovingClock
from .postgres import PostgresServer, find_postgres
from .valkey import ValkeyServer, find_valkey
from .world import World, prepared_template

__all__ = [
    "Case",
    "MovingClock",
    "PostgresServer",
    "ValkeyServer",
    "World",
    "find_postgres",
    "find_valkey",
    "prepared_template",
]
