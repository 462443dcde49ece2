"""Files in a bucket, by the command line and a server of its own."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.cli.conftest import ADMIN_TOKEN, Run, start
from tests.connect.buckets import TestBucket, rows, serving


def test_a_project_imports_its_files(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    settings = {"CLICKPIPE_ADMIN_TOKEN": ADMIN_TOKEN, "CLICKPIPE_IMPORT_PRIVATE_URLS": "allow"}
    with serving() as url, start("serve", "--data-dir", tmp_path / "data", cwd=tmp_path, **settings) as server:
        lake = TestBucket(url)
        lake.put("in/a.csv", "id,n\na,1\n")
        for name, text in lake.files(schedule="@auto").items():
            (project / name).write_text(text)
        monkeypatch.setenv("CLICKPIPE_HOST", server.url)
        monkeypatch.setenv("CLICKPIPE_TOKEN", ADMIN_TOKEN)
        told = run("deploy", project)
        assert (told.code, "import" in told.err) == (0, False)
        until = time.monotonic() + 60
        while (found := run("sql", "SELECT id, n FROM events", "--json").out.strip()) == "[]":
            assert time.monotonic() < until, "the file is not imported"
            time.sleep(0.1)
        assert json.loads(found) == [{"id": "a", "n": 1}]
        lake.put("in/b.ndjson", rows({"id": "b", "n": 1}, {"id": "c", "n": "many"}))
        synced = run("datasource", "sync", "events")
        assert (synced.code, synced.out) == (0, "1 file imported into events: 1 row\n")
        assert "1 row in quarantine: clickpipe datasource quarantine events" in synced.err
        assert run("datasource", "sync", "events").out == "0 files imported into events: 0 rows\n"
        assert json.loads(run("datasource", "sync", "events", "--json").out)["files"] == 0
        lake.put("in/d.ndjson", rows({"id": "d", "n": 1}))
        lake.put("in/e.ndjson", rows({"id": "e", "n": 1}))
        sampled = json.loads(run("datasource", "sample", "events", "--json").out)
        assert (sampled["files_done"], sampled["stats"], sampled["rows"]) == (1, {"found_files": 2}, 1)
        assert run("datasource", "sample", "events", "--max-files", "5").out.startswith("1 file imported into events")
        lake.put("in/c.gz", "no file")
        failed = run("datasource", "sync", "events")
        assert (failed.code, "1 of 1 files were not imported. in/c.gz: its name" in failed.err) == (1, True)
        listed = json.loads(run("connection", "ls", "--json").out)
        assert [(c["name"], c["service"], c["settings"]["s3_endpoint"]) for c in listed] == [("lake", "s3", url)]
        assert listed[0]["linkers"] == [{"name": "events", "state": "watching", "error": ""}]
        assert "a-secret-key" not in json.dumps(listed)
        checked = run("connection", "check")
        assert (checked.code, checked.out.splitlines()[-1].split()[:3]) == (0, ["lake", "events", "ok"])
        told = json.loads(run("connection", "check", "lake", "--json").out)
        assert told == [
            {"connection": "lake", "name": "events", "found": "5 files match IMPORT_BUCKET_URI", "problem": ""}
        ]
        unknown = run("connection", "check", "lakes")
        assert (unknown.code, "did you mean 'lake'" in unknown.err) == (1, True)
        assert run("datasource", "stop", "events").out.startswith("events reads no more")
        assert run("connection", "ls").out.split("\n")[-2].split() == ["lake", "s3", "events", "stopped"]
        assert run("datasource", "start", "events").out == "events reads\n"
        assert "reads neither a topic nor a bucket" in run("datasource", "stop", "sums").err
        refused = run("datasource", "sync", "sums")
        assert (refused.code, "no IMPORT_BUCKET_URI" in refused.err) == (1, True)
        (project / "lake.connection").write_text(lake.connection.replace(url, "http://127.0.0.1:1"))
        assert run("deploy", project).code == 0
        failed = run("connection", "check")
        assert (failed.code, " failed " in failed.out, "a-secret-key" in failed.out + failed.err) == (1, True, False)
