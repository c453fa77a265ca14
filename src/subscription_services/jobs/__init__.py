"""Toolkit of outbox, worker and schedule: what must happen after a commit, at least once, with retries."""

from .kinds import JobKind, JobKinds, Schedule
from .outbox import DatabaseOutbox, wait_until_done
from .queries import JobRow, recent_jobs
from .worker import run_due, run_worker

__all__ = [
    "DatabaseOutbox", "JobKind", "JobKinds", "JobRow", "Schedule", "recent_jobs", "run_due", "run_worker",
    "wait_until_done",
]  # fmt: skip
