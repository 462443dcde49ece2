"""Threads for what would block an event loop, results of other threads, awaited; turns; what functions returned."""

from clickpipe.concurrency.remembered import remembered
from clickpipe.concurrency.threads import EACH, in_thread, of_workspace, unless_short
from clickpipe.concurrency.turns import Turns
from clickpipe.concurrency.waiting import result_of

__all__ = ["EACH", "Turns", "in_thread", "of_workspace", "remembered", "result_of", "unless_short"]
