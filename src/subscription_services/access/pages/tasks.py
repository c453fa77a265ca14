"""Pages of tasks: mine, ask, decide, close, and what was done under one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from subscription_services.access import catalogue
from subscription_services.access.operations.log import log_entry
from subscription_services.access.operations.people import MyPermissions, my_permissions
from subscription_services.access.operations.tasks import (
    ListTasks,
    OneTask,
    TaskRecord,
    ask_task,
    close_task,
    end_task_rule,
    grant_task,
    refuse_task,
    revoke_task,
    task_record,
    task_rules,
    tasks,
)
from subscription_services.access.settings import in_force
from subscription_services.access.task_model import GLASS
from subscription_services.access.task_rules import TaskRule
from subscription_services.access.tasks import About, State, Tasks
from subscription_services.kernel.actors import Role
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.words import table, words
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Handler, Route, get, post

from .console import ROLE_CHOICES, enter
from .log import TONES

PAGE = "/team/tasks"
BY_GLASS = words("The glass was broken")
ASKED = notices.declare("access-task-asked", "success", "Those who can grant the task were told.")
GRANTED = notices.declare("access-task-granted", "success", "The task is open until its end.")
REFUSED = notices.declare("access-task-refused", "success", "The task is refused. Who asked for it was told.")
CLOSED = notices.declare("access-task-closed", "success", "The task is closed. What it lent has ended, everywhere.")
REVOKED = notices.declare("access-task-revoked", "success", "The task has ended, in every session, at once.")
RULE_ENDED = notices.declare("access-rule-ended", "success", "Nothing is granted by that rule any more.")
LABELS = table({
    "title": "the task", "about_kind": "what it is about", "about": "which one", "role": "a role",
    "minutes": "how long", "reason": "a reason",
})  # fmt: skip
TIMES = (
    (15, words("15 minutes")), (30, words("30 minutes")), (60, words("1 hour")), (120, words("2 hours")),
    (240, words("4 hours")), (480, words("8 hours")),
)  # fmt: skip
KINDS = {
    About.SUBSCRIBER: words("Subscriber"), About.SUBSCRIPTION: words("Subscription"), About.INVOICE: words("Invoice"),
    About.INCIDENT: words("Incident"), About.RESTORE: words("Restore"), About.OTHER: words("Other"),
}  # fmt: skip
STATES = {
    State.ASKED: (words("Asked for"), "accent", "clock"), State.OPEN: (words("Open"), "success", "check"),
    State.OVER: (words("Time is up"), "neutral", "clock"), State.REFUSED: (words("Refused"), "danger", "cross"),
    State.CLOSED: (words("Closed"), "neutral", "check"), State.REVOKED: (words("Ended by others"), "danger", "cross"),
}  # fmt: skip


async def show_tasks(call: Call) -> Response:
    """My tasks, and for those who decide what others ask for."""
    may = enter(call)
    found: Tasks = await call.perform(tasks, ListTasks())
    rules_made: list[TaskRule] = []
    if task_rules.name in may:
        rules_made = (await call.perform(task_rules, ListTasks())).rules
    return call.render(
        "access/tasks.html", found=found, states=STATES, kinds=KINDS, now=call.now, rules=rules_made,
        may_end=end_task_rule.name in may,
    )  # fmt: skip


async def end_rule(call: Call) -> Response:
    enter(call)
    done = await call.submit(end_task_rule, given={"id": call.path("id")})
    if done.error is not None:
        raise done.error
    return call.go(PAGE, RULE_ENDED)


async def show_form(call: Call) -> Response:
    """The form that asks for a task."""
    enter(call)
    await call.perform(my_permissions, MyPermissions())
    return _form(call, FormState())


async def ask(call: Call) -> Response:
    enter(call)
    fields = await call.fields()
    given: dict[str, Any] = {"operations": fields.get("operations", "").split()}
    if not fields.get("about"):
        given["about"] = ""  # left empty on purpose, not forgotten
    done = await call.submit(ask_task, labels=LABELS, given=given)
    return _form(call, done.form, done.status) if done.form else call.go(f"{PAGE}/{done.answer.id}", ASKED)


async def show_task(call: Call) -> Response:
    """One task, and what was done under it."""
    return await _task(call)


def _step(operation: Operation, notice: str) -> Handler:
    async def step(call: Call) -> Response:
        enter(call)
        done = await call.submit(operation, labels=LABELS, given={"id": call.path("id")})
        if done.form is None:
            return call.go(f"{PAGE}/{call.path('id')}", notice)
        return await _task(call, done.form, done.status)

    step.__qualname__ = operation.name
    return step


def task_routes() -> tuple[Route, ...]:
    return (
        get(PAGE, show_tasks, tasks),
        get(f"{PAGE}/new", show_form, my_permissions),
        post(f"{PAGE}/new", ask, ask_task),
        post(f"{PAGE}/rules/{{id}}/end", end_rule, end_task_rule),
        get(f"{PAGE}/{{id}}", show_task, task_record),
        post(f"{PAGE}/{{id}}/grant", _step(grant_task, GRANTED), grant_task),
        post(f"{PAGE}/{{id}}/refuse", _step(refuse_task, REFUSED), refuse_task),
        post(f"{PAGE}/{{id}}/close", _step(close_task, CLOSED), close_task),
        post(f"{PAGE}/{{id}}/revoke", _step(revoke_task, REVOKED), revoke_task),
    )


def _form(call: Call, form: FormState, status: int = 200) -> Response:
    lent = {role: sorted(catalogue.lends(role)) for role in Role}
    times = [
        ("", words("Choose")),
        *((str(minutes), text) for minutes, text in TIMES if minutes <= in_force().task_longest_minutes),
    ]
    return call.render(
        "access/new_task.html", status, form=form, roles=[("", words("Choose")), *ROLE_CHOICES], times=times, lent=lent,
        kinds=[("", words("Choose")), *((item.value, KINDS[item]) for item in About)],
    )  # fmt: skip


async def _task(call: Call, form: FormState | None = None, status: int = 200) -> Response:
    may = enter(call)
    found: TaskRecord = await call.perform(task_record, OneTask(call.path("id")))
    mine = found.task.account == call.actor.id
    live = found.task.state in (State.ASKED, State.OPEN)
    broken = (found.task.granted_by or "").startswith(GLASS)
    return call.render(
        "access/task.html", status, task=found.task, kind=KINDS[About(found.task.about_kind)],
        entries=found.entries, whole=found.whole, form=form or FormState(),
        state=STATES[found.task.state], now=call.now, tones=TONES, mine=mine, may_close=mine and live,
        may_decide=not mine and found.task.state is State.ASKED and grant_task.name in may,
        may_revoke=not mine and found.task.state is State.OPEN and revoke_task.name in may,
        may_prove=log_entry.name in may, granter=BY_GLASS if broken else found.task.granter,
    )  # fmt: skip
