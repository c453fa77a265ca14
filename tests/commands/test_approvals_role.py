"""On PostgreSQL a role of its own writes approvals: the service's role cannot, and that one can do nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import ProgrammingError

from subscription_services import app
from subscription_services.access.approval_model import approval
from subscription_services.access.grant_checks import written_by
from subscription_services.access.operations.leavers import DeactivateLeaver
from subscription_services.access.operations.people import GrantRole
from subscription_services.commands.database import statements
from subscription_services.kernel.actors import Role
from subscription_services.kernel.errors import ApprovalNeeded, Invalid, SettingsError
from subscription_services.kernel.ports import Writer
from subscription_services.testing import PostgresServer, World
from subscription_services.testing.approving import approve, ask
from subscription_services.testing.world import FAST

pytestmark = pytest.mark.postgres


@dataclass(frozen=True)
class Parted:
    """An installation whose database knows the two roles, as its documentation says to make them."""

    data: Path
    service: str
    approvals: str


@pytest.fixture
def parted(postgres: PostgresServer, postgres_template: Path, tmp_path: Path) -> Iterator[Parted]:
    data = Path(shutil.copytree(postgres_template, tmp_path / "data"))
    mark = os.urandom(4).hex()
    name, service, approvals = f"house_{mark}", f"service_{mark}", f"approvals_{mark}"
    root = postgres.create(name, "template_house")
    with psycopg.connect(root, autocommit=True) as connection:
        for role in (service, approvals):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(service)))
        for (table,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
            change = sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(table), sql.Identifier(service))
            connection.execute(change)
        for _ in range(2):  # it can be repeated
            for statement in statements(service, approvals):
                connection.execute(statement)
    yield Parted(data, *(root.replace("postgres@", f"{role}@") for role in (service, approvals)))
    postgres.drop(name)
    for role in (service, approvals):
        postgres.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_the_service_approves_and_its_own_role_cannot(parted: Parted) -> None:
    app.prepare(app.read_settings({**FAST, "SUBS_DATA": str(parted.data), "SUBS_DATABASE": parted.service}))
    with World.open(parted.data, parted.service, SUBS_APPROVALS_DATABASE=parted.approvals) as world:
        boss, other, gone = (world.team(Role.ADMINISTRATOR) for _ in range(3))
        request = GrantRole(world.team().id, Role.SUPPORT, "helps")
        made = ask(world, boss, "access.grant_role", request)
        approve(world, gone, made.id)
        # what it has no right to give it does not get; PostgreSQL only warns
        world.write(lambda connection: connection.exec_driver_sql("GRANT INSERT ON access_approval TO CURRENT_USER"))
        for work in (
            update(approval).values(expires_at=world.clock()), delete(approval),
            insert(approval).values(id="apr_x", request=made.id, requester=boss.id, approver=other.id,
                                    shown=bytes(32), given_at=world.clock(), expires_at=made.expires_at, mac=b"x"),
        ):  # fmt: skip
            with pytest.raises(ProgrammingError, match="permission denied for table access_approval"):
                world.write(lambda connection, work=work: connection.execute(work))
        with pytest.raises(ProgrammingError, match="must be owner"):
            world.write(lambda connection: connection.exec_driver_sql("DROP TABLE access_approval CASCADE"))
        # who leaves takes what they approved with them, though the service may not touch that row
        assert world.do("access.deactivate_leaver", boss, DeactivateLeaver(gone.id, "left")).approvals == 1
        with pytest.raises(ApprovalNeeded):
            world.do("access.grant_role", boss, request)
        approve(world, other, made.id)
        assert world.do("access.grant_role", boss, request).role is Role.SUPPORT
        with world.house.store.reading() as connection:
            assert written_by(connection) == "a database role of its own"


def test_the_role_of_approvals_can_do_nothing_else(parted: Parted) -> None:
    with World.open(parted.data, parted.service, SUBS_APPROVALS_DATABASE=parted.approvals) as world:
        boss, other = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR)
        request = GrantRole(world.team().id, Role.SUPPORT, "helps")
        approve(world, other, ask(world, boss, "access.grant_role", request).id)
    with psycopg.connect(parted.approvals, autocommit=True) as connection:
        tables = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        assert "access_grant" in tables
        inserted = {name for name in tables if _may(connection, name, "INSERT")}
        assert inserted == {"access_approval", "jobs_job", "ledger_event", "ledger_writer", "kernel_idempotency"}
        assert not [
            name for name in tables for verb in ("UPDATE", "DELETE", "TRUNCATE") if _may(connection, name, verb)
        ]
        for attempt in (
            "DELETE FROM access_approval", "UPDATE access_approval SET expires_at = expires_at + 1",
            "UPDATE access_grant SET role = 'administrator'", "UPDATE access_approval_request SET way = 'alone'",
            "INSERT INTO access_approval_use SELECT request, given_at FROM access_approval", "CREATE TABLE x ()",
            "UPDATE identity_account SET state = 'active'", "ALTER TABLE access_approval DROP CONSTRAINT x",
        ):  # fmt: skip
            with pytest.raises(InsufficientPrivilege):
                connection.execute(attempt)


def test_without_that_role_the_check_says_who_writes(place: tuple[Path, str]) -> None:
    with World.open(*place) as world, world.house.store.reading() as connection:
        role = (
            "the service's database role" if place[1] else "the service, whose process alone has the key of the store"
        )
        assert written_by(connection) == role


def test_only_approving_uses_it(world: World) -> None:
    names = {item.name for item in world.house.kernel.registry if item.writer is Writer.APPROVALS}
    assert names == {"access.approve"}


def test_a_name_that_is_none_and_a_store_that_has_no_roles(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        statements("subs; DROP TABLE x", "approvals")
    environment = {**FAST, "SUBS_DATA": str(tmp_path), "SUBS_APPROVALS_DATABASE": "postgresql://x/y"}
    with pytest.raises(SettingsError):
        app.build(app.read_settings(environment), fresh=True)


def _may(connection: psycopg.Connection, table: str, verb: str) -> bool:
    row = connection.execute("SELECT has_table_privilege(%s, %s)", (table, verb)).fetchone()
    return bool(row and row[0])
