"""Threads for what would block an event loop, and results of other threads, awaited."""

from clickpipe.concurrency.threads import EACH, beside, in_thread, of_workspace
from clickpipe.concurrency.waiting import result_of

__all__ = ["EACH", "beside", "in_thread", "of_workspace", "result_of"]
