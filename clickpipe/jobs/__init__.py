"""Jobs: the runner, the schedule, copies."""

from clickpipe.jobs.copies import run_copy
from clickpipe.jobs.runner import CopySchedule, JobRunner, Report

__all__ = ["CopySchedule", "JobRunner", "Report", "run_copy"]
