"""The server's log: lines for people or JSON for collectors, each with its request's id.

What callers send is in it, so no text adds a line, or a command for a terminal.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from contextvars import ContextVar
from datetime import UTC, datetime

from clickpipe.diagnostics import indented, one_line, redact

_EVERY = 60.0  # seconds between two lines that say the same
_MOST_KINDS = 1_000  # of lines to remember
_ANYBODYS = frozenset({"uvicorn.error", "asyncio"})  # who writes of requests without a token

request_id: ContextVar[str] = ContextVar("request_id", default="")


class _Json(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage(), urls=True),
            **({"request_id": found} if (found := request_id.get()) else {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            said["error"] = redact(self.formatException(record.exc_info), urls=True)
        return one_line(json.dumps(said, ensure_ascii=False, default=str))


class _Console(logging.Formatter):
    """A line for people: time, level, message and extra fields; lines of a traceback are indented."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = dict(getattr(record, "fields", {}))
        if found := request_id.get():
            fields["request_id"] = found
        rest = "".join(f" {name}={value}" for name, value in fields.items())
        line = one_line(redact(f"{moment} {record.levelname.lower():<7} {record.getMessage()}{rest}", urls=True))
        if not record.exc_info:
            return line
        return f"{line}\n{indented(redact(self.formatException(record.exc_info), urls=True))}"


class Repeated(logging.Filter):
    """Lets few lines through of those that anyone can cause, even without a token, and counts the others.

    uvicorn writes a line or two for each request that it cannot read. Of each such line, one appears in a minute; the
    next one then says how many were left out.
    """

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}  # when one was written, and how many since then

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is written; add to its text how many like it were not."""
        if record.name not in _ANYBODYS or record.exc_info:
            return True
        key = (record.name, str(record.msg))
        with self._lock:
            at, left_out = self._seen.get(key, (-_EVERY, 0))
            if 0 <= record.created - at < _EVERY:
                self._seen[key] = at, left_out + 1
                return False
            if len(self._seen) >= _MOST_KINDS:
                self._seen.clear()
            self._seen[key] = record.created, 0
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more since the last such line)", ()
        return True


def set_up_logs(level: str, form: str) -> None:
    """Write this process's log to standard error; `form` is console or json.

    Raises ValueError for an unknown level.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Console())
    handler.addFilter(Repeated())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "watchfiles", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
