"""A release runs where two people permitted it; a row in the database permits nothing."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update

from subscription_services import app
from subscription_services.access import deployments as rules
from subscription_services.access import model
from subscription_services.access.deployment_model import permit
from subscription_services.access.errors import AlreadyPermitted
from subscription_services.access.operations.deployments import EndDeployment, ListDeployments, PermitDeployment
from subscription_services.commands.deployments import wheel_digest
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.errors import ApprovalNeeded, Invalid, StartError
from subscription_services.kernel.settings import HouseSettings
from subscription_services.ledger.note import open_note, parse_verifier_key
from subscription_services.testing import World
from subscription_services.testing.approving import approved
from subscription_services.testing.world import FAST

DIGEST = "ab" * 32


def permitted(world: World, who: TeamMember, request: PermitDeployment) -> rules.Deployment:
    approved(world, who, "access.permit_deployment", request)
    made: rules.Deployment = world.do("access.permit_deployment", who, request)
    return made


def found(world: World, digest: str = DIGEST) -> rules.Deployment | None:
    with world.house.store.reading() as connection:
        return rules.good_permit(connection, world.house.ring.for_caller("access"), "example.org", digest)


def test_two_people_permit_a_release_and_anybody_can_verify_that(world: World) -> None:
    who, request = world.team(Role.OPERATIONS), PermitDeployment(DIGEST, "1.2.0", "example.org")
    with pytest.raises(ApprovalNeeded):
        world.do("access.permit_deployment", who, request)
    made = permitted(world, who, request)
    key = parse_verifier_key(rules.public_key_text(world.house.ring.for_caller("access"), "example.org"))
    text = open_note(made.note.encode(), [key]).text
    assert f"sha256:{DIGEST}\nversion 1.2.0\npermit {made.id}\nby {who.id} at " in text
    assert found(world) == made
    with pytest.raises(AlreadyPermitted):
        world.do("access.permit_deployment", who, request)
    assert [item.id for item in world.do("access.deployments", who, ListDeployments()).permits] == [made.id]


def test_a_row_that_nobody_signed_or_that_was_put_back_permits_nothing(world: World) -> None:
    who = world.team(Role.OPERATIONS)
    made = permitted(world, who, PermitDeployment(DIGEST, "1.2.0", "example.org"))
    other = {**{name: getattr(made, name) for name in made.__struct_fields__}, "id": "dpl_x", "digest": "cd" * 32}
    world.write(lambda c: c.execute(insert(permit), other))  # the signature of another release
    assert found(world, "cd" * 32) is None
    world.do("access.end_deployment", who, EndDeployment(made.id))
    assert found(world) is None
    world.write(lambda c: c.execute(update(permit).where(permit.c.id == made.id).values(ended_at=None, ended_by=None)))
    assert found(world) is None
    assert permitted(world, who, PermitDeployment(DIGEST, "1.2.0", "example.org")).id != made.id


def test_the_service_starts_with_a_permit_only_where_that_is_asked(place: tuple[Path, str]) -> None:
    data, database = place
    environment = {**FAST, "SUBS_DATA": str(data), "SUBS_DATABASE": database, "SUBS_ACCESS_DEPLOYMENTS": "permitted"}
    settings = app.read_settings(environment)
    app.check_may_start(settings)  # nobody is there yet who could permit anything
    with World.open(data, database) as world:
        world.write(lambda c: c.execute(insert(model.bootstrap), {"place": 1, "at": world.clock()}))
        who, name = world.team(Role.OPERATIONS), settings.of(HouseSettings).public_name
        with pytest.raises(StartError, match="Nobody permitted this release"):
            app.check_may_start(settings)
        app.check_may_start(app.read_settings({**environment, "SUBS_ACCESS_DEPLOYMENTS": "any"}))
        made = permitted(world, who, PermitDeployment(rules.installed_digest(), "1.2.0", name))
        app.check_may_start(settings)
        world.do("access.end_deployment", who, EndDeployment(made.id))
        with pytest.raises(StartError):
            app.check_may_start(settings)


def test_taking_out_the_row_of_the_bootstrap_does_not_make_it_the_first_start(world: World) -> None:
    from subscription_services.access import Bootstrap, FirstPerson

    world.do("access.bootstrap", world.system("cli"), Bootstrap([FirstPerson("a@example.org", "Ada")]))
    world.write(lambda c: c.execute(delete(model.bootstrap)))
    with world.house.store.reading() as connection, pytest.raises(StartError):
        rules.check_may_start(connection, world.house.ring.for_caller("access"), "example.org")


def test_the_digest_is_what_sha256sum_says_and_a_wheel_has_that_of_its_installation(tmp_path: Path) -> None:
    files = [("subscription_services/b.py", b"two"), ("subscription_services/a.py", b"one")]
    lines = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files, key=lambda item: item[0])
    )
    wheel = tmp_path / "release.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in (
            *files,
            ("subscription_services/__pycache__/a.pyc", b"x"),
            ("other.dist-info/RECORD", b""),
        ):
            archive.writestr(name, content)
    assert wheel_digest(wheel) == rules.digest_of(files) == hashlib.sha256(lines.encode()).hexdigest()
    assert rules.digest_of([files[0], (files[1][0], b"ONE")]) != rules.digest_of(files)
    assert rules.digest_of([(files[0][0], b"one"), (files[1][0], b"two")]) != rules.digest_of(files)
    with pytest.raises(Invalid):
        wheel_digest(tmp_path / "nothing.whl")
