"""Which sinks write files, what these are called, and what keeps a sink from running."""

from __future__ import annotations

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import (
    FileNames,
    JobId,
    NameColumn,
    Spread,
    file_key,
    is_file_key,
    load_texts,
    sink_files,
    sink_obstacle,
    sink_schedule,
)

LAKE = "TYPE s3\nS3_REGION eu-west-1\nS3_ACCESS_KEY k\nS3_SECRET s\n"
LINES = {
    "EXPORT_CONNECTION_NAME": "lake",
    "EXPORT_BUCKET_URI": "s3://bucket/out",
    "EXPORT_FILE_TEMPLATE": "all",
    "EXPORT_SCHEDULE": "@on-demand",
}


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("all", ["all"]),
        ("/all", ["all"]),
        ("'quoted'", ["quoted"]),
        ("{kind}", [NameColumn("kind")]),
        ("{ kind }/x", [NameColumn("kind"), "/x"]),
        ("{at, '%Y/%m/%d'}", [NameColumn("at", "%Y/%m/%d")]),
        ('{at,"%Y"}_{8}', [NameColumn("at", "%Y"), "_", Spread(8)]),
        ("{job_id}", [JobId()]),
        ("{a}{b}", [NameColumn("a"), NameColumn("b")]),
    ],
)
def test_names(template: str, parts: list[object]) -> None:
    found = sink_files({**LINES, "EXPORT_FILE_TEMPLATE": template})
    assert found.names == FileNames("bucket", "out/", tuple(parts), ".csv")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "template", ["{", "a}", "{}", "{a b}", "{0}", "{1001}", "{{a}}", "{a, %Y}", "{a, '%Y}", "", "''", "/"]
)
def test_names_that_are_none(template: str) -> None:
    with pytest.raises(ClickpipeError):
        sink_files({**LINES, "EXPORT_FILE_TEMPLATE": template})


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a/b/", ("bucket", "a/b/")),
        ("gs://bucket/a", ("bucket", "a/")),
        (" gcs://bucket/a ", ("bucket", "a/")),
    ],
)
def test_places(uri: str, place: tuple[str, str]) -> None:
    found = sink_files({**LINES, "EXPORT_BUCKET_URI": uri}).names
    assert (found.bucket, found.folder) == place


URI, TEMPLATE, NAMED, PACKED = "BUCKET_URI", "FILE_TEMPLATE", "CONNECTION_NAME", "COMPRESSION"


@pytest.mark.parametrize(
    ("lines", "connection", "at", "said"),
    [
        ({}, LAKE, "", ""),
        ({"FORMAT": "parquet", PACKED: "snappy"}, LAKE, "", ""),
        ({PACKED: "snappy"}, LAKE, PACKED, "EXPORT_COMPRESSION takes none, gz, gzip for csv, not snappy"),
        ({PACKED: "lz4", "FORMAT": "parquet"}, LAKE, PACKED, "takes none, gz, gzip, snappy for parquet"),
        ({"FORMAT": "xml"}, LAKE, URI, "EXPORT_FORMAT takes csv, ndjson, parquet, not xml"),
        ({TEMPLATE: "{"}, LAKE, TEMPLATE, "{ is no part of a name"),
        ({URI: "https://bucket/out"}, LAKE, URI, "so the address begins with s3://"),
        ({URI: "gs://bucket/out"}, LAKE, URI, "so the address begins with s3://"),
        ({URI: "s3://"}, LAKE, URI, "an address names a bucket"),
        ({NAMED: "other"}, LAKE, NAMED, "'other' is not a connection to S3 or GCS"),
        ({}, "TYPE s3\nS3_REGION eu-west-1\nS3_ARN arn:x\n", NAMED, "S3_ARN is not built yet"),
        ({}, "TYPE gcs\nGCS_HMAC_ACCESS_ID a\nGCS_HMAC_SECRET b\n", URI, "so the address begins with gs://"),
    ],
)
def test_what_keeps_a_sink_from_running(lines: dict[str, str], connection: str, at: str, said: str) -> None:
    wanted = {**LINES, **{f"EXPORT_{name}": value for name, value in lines.items()}}
    text = "".join(f"{name} {value}\n" for name, value in wanted.items())
    project = load_texts({"lake.connection": connection, "out.pipe": f"NODE n\nSQL >\n    SELECT 1\nTYPE sink\n{text}"})
    found = sink_obstacle(project.pipes["out"], project.connections)
    if not said:
        assert found is None
        return
    assert found is not None
    word, reason = found
    assert (word.text, said in reason) == (wanted[f"EXPORT_{at}"], True)


@pytest.mark.parametrize(("schedule", "cron"), [("@on-demand", ""), ('"0 1 * * *"', "0 1 * * *")])
def test_schedules(schedule: str, cron: str) -> None:
    text = "".join(f"{name} {value}\n" for name, value in {**LINES, "EXPORT_SCHEDULE": schedule}.items())
    project = load_texts({"lake.connection": LAKE, "out.pipe": f"NODE n\nSQL >\n    SELECT 1\nTYPE sink\n{text}"})
    assert sink_schedule(project.pipes["out"]) == cron


NAMES = FileNames("bucket", "out/", (), ".csv.gz")


@pytest.mark.parametrize(
    "name", ["", "a", "a/b", "a//b", "..", "../x", "/", "_manifests", "_manifests/out/latest", "x" * 2000, "é\n"]
)
@pytest.mark.parametrize("number", [0, 3])
def test_what_a_sink_writes_it_may_delete(name: str, number: int) -> None:
    assert is_file_key(NAMES, file_key(NAMES, name, number))
    assert is_file_key(FileNames("bucket", "out/", (), ".parquet"), file_key(NAMES, name, number))


@pytest.mark.parametrize(
    "key",
    [
        *("", "x.csv", "other/x.csv", "outx.csv", "out/", "out", "OUT/x.csv", "/out/x.csv"),
        *("out/../x.csv", "out/a/../../x.csv", "out/./x.csv", "out//x.csv", "out/x.csv/..", "out/../out/x.csv"),
        *("out/_manifests/out/latest.csv", "out/_manifests/x.csv", "out/_manifests/out/latest.json"),
        *("out/x", "out/x.json", "out/backup.zip", "out/x.gz", "out/x.csv.gz.exe", "out/x.csv/", "out/.."),
        *("out/a\nb.csv", "out/\x00.csv", "out/\x7f.csv", "out/" + "x" * 1024 + ".csv"),
    ],
)
def test_what_no_sink_writes_it_does_not_delete(key: str) -> None:
    assert not is_file_key(NAMES, key)
