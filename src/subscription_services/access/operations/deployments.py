"""Permitting a release to run here, which takes two people, and ending a permit, which takes one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import insert, select, update

from subscription_services.access import deployments as rules
from subscription_services.access.deployment_model import permit
from subscription_services.access.deployments import Deployment, Deployments
from subscription_services.access.errors import AlreadyPermitted, RequestEnded
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import Change, Limit, Seen, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from .people import Id

DEPLOYERS = (Role.OPERATIONS, Role.ADMINISTRATOR)
DECIDERS = (Role.OPERATIONS, Role.SECURITY, Role.ADMINISTRATOR)
SHOWN = 100


class PermitDeployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`digest` as `subs deployments digest` prints it for the release; `environment` is the host name in its links."""

    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.+_-]{1,40}$")]
    environment: Annotated[str, Meta(pattern=r"^[a-z0-9.-]{1,253}$")]


class EndDeployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class ListDeployments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


def _not_yet(tx: ReadTransaction, ctx: Context, request: PermitDeployment) -> bytes:
    """Raises AlreadyPermitted."""
    if rules.good_permit(tx.connection, tx.keys, request.environment, request.digest) is not None:
        raise AlreadyPermitted()
    return b""


@operation(
    "access.permit_deployment", by=DEPLOYERS, needs=[recent_sign_in, approvals(1, DECIDERS)],
    limits=[Limit(60, 3600, "actor")], concerns=_not_yet,
)  # fmt: skip
def permit_deployment(tx: Transaction, ctx: Context, request: PermitDeployment) -> Change[Deployment]:
    """Permit a release to run here. The answer holds a signed statement that anybody can verify."""
    identifier = ctx.ids.new("dpl")
    terms = (identifier, request.digest, request.version, request.environment, ctx.actor.id, ctx.now)
    note = rules.signed(tx.keys, request.environment, rules.statement(*terms))
    made = Deployment(*terms, note)
    # a row that nobody signed must not stand in the way
    stale = update(permit).where(
        permit.c.digest == made.digest, permit.c.environment == made.environment, permit.c.ended_at.is_(None)
    )
    tx.connection.execute(stale.values(ended_at=permit.c.permitted_at, ended_by=ctx.actor.id))
    tx.connection.execute(insert(permit), msgspec.structs.asdict(made))
    details = {"digest": made.digest, "version": made.version, "environment": made.environment}
    return Change(None, made, object=made.id, details=details)


@operation("access.end_deployment", by=DECIDERS, needs=[recent_sign_in])
def end_deployment(tx: Transaction, ctx: Context, request: EndDeployment) -> Change[Deployment]:
    """End the permit of a release: it does not start here any more. What runs goes on until it is stopped."""
    row = tx.connection.execute(select(permit).where(permit.c.id == request.id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound()
    if row.ended_at is not None:
        raise RequestEnded("This permit has ended already.")
    before = rules.deployment_of(row)
    after = msgspec.structs.replace(before, ended_at=ctx.now, ended_by=ctx.actor.id)
    ended = update(permit).where(permit.c.id == row.id)
    tx.connection.execute(ended.values(ended_at=after.ended_at, ended_by=after.ended_by))
    details = {"digest": after.digest, "version": after.version}
    return Change(before, after, object=after.id, details=details)


@operation("access.deployments", by=[*DECIDERS, Role.AUDITOR])
def deployments(tx: ReadTransaction, ctx: Context, request: ListDeployments) -> Seen[Deployments]:
    """Releases that were permitted here, with their signed statements, and what runs now."""
    rows = tx.connection.execute(select(permit).order_by(permit.c.permitted_at.desc()).limit(SHOWN)).all()
    permits = [rules.deployment_of(row) for row in rows if rules.is_signed(tx.keys, row)]
    return Seen(Deployments(permits, rules.installed_digest()))
