"""A file that is fetched slowly: its job hears that it is to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from clickpipe.config import Settings
from clickpipe.jobs import JobCancelled, Report
from clickpipe.runtime import upload


def test_a_job_ends_though_its_file_comes_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(_url: str, _into: Path, *, progress: Callable[[int], None], **_: Any) -> str:
        for n in range(1_000):
            progress((2 << 20) + n)
        return ""

    def nothing(_url: str, _into: Path, *, check: Callable[[], None], **_: Any) -> str:
        check()
        return ""

    def cancelled(_: Mapping[str, Any]) -> None:
        raise JobCancelled

    monkeypatch.setattr(upload, "_TELL", 0.0)
    file = upload.Upload("events", tmp_path / "file", "csv", url="https://example.com/a.csv")
    monkeypatch.setattr(upload, "fetch", drip)
    with pytest.raises(JobCancelled):
        file._fetched(Settings(), Report(cancelled))
    monkeypatch.setattr(upload, "fetch", nothing)
    ended = Report()
    ended.cancelled = True
    with pytest.raises(JobCancelled):
        file._fetched(Settings(), ended)
