"""Pages of releases: which may run here, and permitting one."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.access.deployments import Deployments
from subscription_services.access.operations.deployments import (
    ListDeployments,
    deployments,
    end_deployment,
    permit_deployment,
)
from subscription_services.access.settings import in_force
from subscription_services.kernel.words import table
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

from .console import enter

PAGE = "/team/deployments"
PERMITTED = notices.declare("access-permitted", "success", "The release is permitted here.")
ENDED = notices.declare("access-permit-ended", "success", "The release does not start here any more.")
LABELS = table({"digest": "the digest of 64 letters and digits", "version": "a version", "environment": "a host name"})


async def show_deployments(call: Call) -> Response:
    return await _page(call, FormState({"environment": call.request.url.hostname or ""}))


async def permit_release(call: Call) -> Response:
    enter(call)
    done = await call.submit(permit_deployment, labels=LABELS)
    return await _page(call, done.form, done.status) if done.form else call.go(PAGE, PERMITTED)


async def end_release(call: Call) -> Response:
    enter(call)
    done = await call.submit(end_deployment, given={"id": call.path("id")})
    return await _page(call, done.form, done.status) if done.form else call.go(PAGE, ENDED)


def deployment_routes() -> tuple[Route, ...]:
    return (
        get(PAGE, show_deployments, deployments),
        post(PAGE, permit_release, permit_deployment),
        post(f"{PAGE}/{{id}}/end", end_release, end_deployment),
    )


async def _page(call: Call, form: FormState, status: int = 200) -> Response:
    may = enter(call)
    found: Deployments = await call.perform(deployments, ListDeployments())
    return call.render(
        "access/deployments.html", status, found=found, form=form, enforced=in_force().deployments == "permitted",
        may_permit=permit_deployment.name in may, may_end=end_deployment.name in may, now=call.now,
    )  # fmt: skip
