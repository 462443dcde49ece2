"""Threads for what would block an event loop, and results of other threads, awaited."""

from clickpipe.concurrency.threads import EACH, in_thread, of_workspace, unless_short
from clickpipe.concurrency.waiting import result_of

__all__ = ["EACH", "in_thread", "of_workspace", "result_of", "unless_short"]
