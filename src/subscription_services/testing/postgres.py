"""A real PostgreSQL server for tests, on a Unix socket in a directory of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql


def find_postgres() -> Path | None:
    """The directory of the newest installed server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    plain = shutil.which("postgres")
    return Path(plain).resolve().parent if plain else None


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A started cluster; `stop()` ends it and removes its files."""

    programs: Path
    directory: Path

    @classmethod
    def start(cls, *, durable: bool = False) -> PostgresServer:
        """Make and start a cluster. Without `durable` it does not wait for the disk. Raises CalledProcessError."""
        programs = find_postgres()
        if programs is None:
            raise LookupError("PostgreSQL is not installed")
        directory = Path(tempfile.mkdtemp(prefix="subs-pg-"))
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(directory, account.pw_uid, account.pw_gid)
        server = cls(programs, directory)
        server._run("initdb", "-D", str(server.data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8")
        options = f"-c listen_addresses= -c unix_socket_directories={directory} -c max_connections=300"
        if not durable:
            options += " -c fsync=off -c full_page_writes=off"
        server._run("pg_ctl", "-D", str(server.data), "-w", "-l", str(directory / "log"), "-o", options, "start")
        return server

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.directory}"

    def execute(self, statement: sql.Composed | sql.SQL) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, database: str, template: str = "template1") -> str:
        """A new database; returns its URL."""
        self.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(database), sql.Identifier(template))
        )
        return self.url(database)

    def drop(self, database: str) -> None:
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
