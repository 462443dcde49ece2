"""Jobs: the runner, the schedule, copies."""

from clickpipe.jobs.copies import run_copy
from clickpipe.jobs.populate import Population, run_population, view_of
from clickpipe.jobs.report import JobCancelled, JobStopped, Report
from clickpipe.jobs.runner import JobRunner, Work
from clickpipe.jobs.schedule import CopySchedule, ScheduledCopies

__all__ = [
    "CopySchedule",
    "JobCancelled",
    "JobRunner",
    "JobStopped",
    "Population",
    "Report",
    "ScheduledCopies",
    "Work",
    "run_copy",
    "run_population",
    "view_of",
]
