"""Jobs: the runner, the schedule, copies, exports."""

from clickpipe.jobs.binding import bind, hiding_secrets
from clickpipe.jobs.copies import run_copy
from clickpipe.jobs.export import Export, drop_exports, export
from clickpipe.jobs.populate import Population, run_population, view_of
from clickpipe.jobs.report import JobCancelled, JobStopped, Report
from clickpipe.jobs.runner import JobRunner, Work
from clickpipe.jobs.schedule import CopySchedule, ScheduledCopies

__all__ = [
    "CopySchedule",
    "Export",
    "JobCancelled",
    "JobRunner",
    "JobStopped",
    "Population",
    "Report",
    "ScheduledCopies",
    "Work",
    "bind",
    "drop_exports",
    "export",
    "hiding_secrets",
    "run_copy",
    "run_population",
    "view_of",
]
