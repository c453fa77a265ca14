"""Toolkit of outbox, worker and schedule: what must happen after a commit, at least once, with retries."""

from .kinds import GiveUp, JobKind, JobKinds, Schedule, TakenJob, set_taken_job, taken_job
from .outbox import DatabaseOutbox, wait_until_done
from .queries import JobRow, make_due, recent_jobs, unfinished_jobs
from .worker import run_due, run_worker

__all__ = [
    "DatabaseOutbox", "GiveUp", "JobKind", "JobKinds", "JobRow", "Schedule", "TakenJob", "make_due", "recent_jobs",
    "run_due", "run_worker", "set_taken_job", "taken_job", "unfinished_jobs", "wait_until_done",
]  # fmt: skip
