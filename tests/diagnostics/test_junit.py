from __future__ import annotations

from xml.etree import ElementTree as ET

from clickpipe.diagnostics import Diagnostic, Severity, Sources, Span, render_junit

SOURCES = Sources({"a.pipe": "NODE <n> & \x01\n", "b.pipe": "NODE b\n", "c.pipe": "NODE c\n"})


def test_each_file_is_a_case_that_its_errors_fail() -> None:
    found = [
        Diagnostic("CP1001", 'a < b & "c"', Span("a.pipe", 5, 8), hint="mend\x02 it"),
        Diagnostic("CP2008", "not used", Span("b.pipe", 0, 4), Severity.WARNING),
    ]
    suite = ET.fromstring(render_junit(found, SOURCES).encode())  # noqa: S314 - our own text
    assert suite.attrib == {"name": "clickpipe check", "tests": "3", "failures": "1"}
    failed, warned, passed = suite
    (failure,) = failed
    assert (failed.get("name"), failure.get("type"), failure.get("message")) == ("a.pipe", "CP1001", 'a < b & "c"')
    assert "1 | NODE <n> & " in (failure.text or "")
    assert [child.tag for child in warned] == ["system-out"]
    assert list(passed) == []
