"""Who may and who may not, for each operation of the toolkit."""

from __future__ import annotations

from subscription_services.jobs.tidy import Tidy
from subscription_services.kernel.actors import Role
from subscription_services.testing import Case

CASES = [
    Case(
        "jobs.tidy", lambda world: (world.system("jobs.tidy"), Tidy()), lambda world: (world.team(*Role), Tidy())
    )
]  # fmt: skip
