"""Jobs: the runner, the schedule, copies."""

from clickpipe.jobs.copies import run_copy
from clickpipe.jobs.runner import CopySchedule, JobRunner

__all__ = ["CopySchedule", "JobRunner", "run_copy"]
