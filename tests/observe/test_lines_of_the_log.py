"""What callers send is in the server's log: no text of theirs is a line of its own, or a command for a terminal."""

from __future__ import annotations

import json
import logging
import re

import pytest

from clickpipe.observe import set_up_logs
from clickpipe.observe.logs import Repeated

FORGED = {
    "a line": "x\n12:00:00 error   the disk is full",
    "a line after a return": "x\r12:00:00 error   the disk is full",
    "both": "x\r\n12:00:00 error   the disk is full",
    "a line of JSON": 'x"}\n{"level": "error", "message": "the disk is full',
    "a page": "x\x0cy\x0bz",
    "separators of fields": "x\x1cy\x1dz\x1ey\x1fz",
    "the next line of another charset": "x\x8512:00:00 error   the disk is full",
    "Unicode's lines": "x\u202812:00:00 error\u2029the disk is full",
    "colours": "x\x1b[31my\x1b[0m",
    "a terminal's title": "x\x1b]0;mine\x07",
    "clears a screen": "x\x1b[2J\x1b[H",
    "eight bits": "x\x9b31m\x9d0;mine\x9c",
    "rubs out": "abc\x08\x08\x08\x7f\x7f",
    "turned round": "x\u202eyz\u202c\u2066a\u2069",
    "zero": "x\x00y",
}
NOTHING_ELSE = re.compile("[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("where", ["message", "field", "error"])
def test_a_record_is_a_line(form: str, text: str, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    set_up_logs("info", form)
    try:
        log = logging.getLogger("clickpipe.test")
        if where == "message":
            log.info("GET %s", text)
        elif where == "field":
            log.info("GET", extra={"fields": {"client": text}})
        else:
            log.error("it fails", exc_info=ValueError(text))
    finally:
        root.handlers, root.level = before, level
    first, *rest = capsys.readouterr().err.removesuffix("\n").split("\n")
    assert all(NOTHING_ELSE.fullmatch(line) for line in [first, *rest])
    if form == "json":
        said = json.loads(first)
        assert not rest
        assert text in (said.get("client", "") or said.get("error", "") or said["message"])
    else:
        assert all(line.startswith("  ") for line in rest)
        assert bool(rest) == (where == "error")
        assert "12:00:00 error" not in first[:16]


def test_what_anyone_can_cause_is_written_once_a_minute_and_counted() -> None:
    kept = Repeated()

    def written(name: str, text: str, at: float) -> str:
        record = logging.LogRecord(name, logging.WARNING, "", 0, text, (), None)
        record.created = at
        return record.getMessage() if kept.filter(record) else ""

    bad, other = "Invalid HTTP request received.", "Unsupported upgrade request."
    assert written("uvicorn.error", bad, 100.0) == bad
    assert [written("uvicorn.error", bad, 100.0 + at) for at in range(50)] == [""] * 50
    assert written("uvicorn.error", other, 120.0) == other  # each kind of line for itself
    assert written("uvicorn.error", bad, 161.0) == f"{bad} (50 more since the last such line)"
    assert written("uvicorn.error", bad, 222.0) == bad
    assert written("uvicorn.error", bad, 50.0) == bad  # the clock was set back
    assert [written("clickpipe.server", bad, 100.0 + at) for at in range(3)] == [bad] * 3
