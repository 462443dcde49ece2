"""Files imported from a bucket against the engine's own INSERT … SELECT FROM s3() of the same files."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from datetime import datetime
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

from benchmarks.events import FIELDS, ndjson
from benchmarks.serving import serve
from clickpipe.engine import EmbeddedEngine, config

ROWS = 600_000
FILES = 3
_KEY, _SECRET = "an-access-key", "a-secret-key"
_COLUMNS = {name: "DateTime" if name == "timestamp" else "String" for name in FIELDS}
_STRUCTURE = ", ".join(f"{name} {type_}" for name, type_ in _COLUMNS.items())
_FORMATS = {"ndjson": "JSONEachRow", "parquet": "Parquet"}


def main() -> None:
    """Print how many rows a second are imported from NDJSON and Parquet, and the ratios."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    bucket = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    bucket.start()
    try:
        host, port = bucket.get_host_and_port()
        with tempfile.TemporaryDirectory(prefix="clickpipe-bench-") as name:
            folder, url = Path(name), f"http://{host}:{port}"
            own = _engine_alone(folder, url)
            found = {kind: _imported(folder, url, kind) for kind in _FORMATS}
    finally:
        bucket.stop()
    for kind, rate in found.items():
        print(f"{kind} from a bucket: {rate:,.0f} rows/s, {rate / own[kind]:.2f} of the engine's own {own[kind]:,.0f}")
    print(f"Parquet against NDJSON: {found['parquet'] / found['ndjson']:.1f}", flush=True)


def _engine_alone(folder: Path, url: str) -> dict[str, float]:
    """Put the files into the bucket; return for each kind how many rows a second the engine inserts."""
    keys = {"aws_access_key_id": _KEY, "aws_secret_access_key": _SECRET}
    s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    s3.create_bucket(Bucket="lake")
    for number, body in enumerate(ndjson(ROWS, ROWS // FILES)):
        s3.put_object(Bucket="lake", Key=f"ndjson/{number}.ndjson", Body=body)
    grants = config.GRANTS
    config.GRANTS = "GRANT ALL ON *.*"  # only here: the engine that serves reaches no bucket
    engine = EmbeddedEngine(folder / "alone")
    found: dict[str, float] = {}
    try:
        for number in range(FILES):
            to = f"s3('{url}/lake/parquet/{number}.parquet', '{_KEY}', '{_SECRET}', 'Parquet')"
            rows = f"s3('{url}/lake/ndjson/{number}.ndjson', '{_KEY}', '{_SECRET}', 'JSONEachRow', '{_STRUCTURE}')"
            engine.execute(f"INSERT INTO FUNCTION {to} SELECT * FROM {rows}")
        for kind, format_ in _FORMATS.items():
            engine.execute(
                f"CREATE TABLE default.{kind} ({_STRUCTURE}) ENGINE = MergeTree ORDER BY (event_type, timestamp)"
            )
            rows = f"s3('{url}/lake/{kind}/*', '{_KEY}', '{_SECRET}', '{format_}', '{_STRUCTURE}')"
            started = time.perf_counter()
            engine.execute(f"INSERT INTO default.{kind} SELECT * FROM {rows}", output="Null")
            found[kind] = ROWS / (time.perf_counter() - started)
    finally:
        engine.close()
        config.GRANTS = grants
    return found


def _imported(folder: Path, url: str, kind: str) -> float:
    """Return how many rows a second a data source imports."""
    project = folder / f"project_{kind}"
    project.mkdir()
    schema = ",\n".join(f"    {name} {type_} `json:$.{name}`" for name, type_ in _COLUMNS.items())
    reads = f"IMPORT_CONNECTION_NAME lake\nIMPORT_BUCKET_URI s3://lake/{kind}/*\nIMPORT_SCHEDULE @on-demand\n"
    text = f"SCHEMA >\n{schema}\n\nENGINE MergeTree\nENGINE_SORTING_KEY event_type, timestamp\n{reads}"
    (project / "hits.datasource").write_text(text, encoding="utf-8")
    keys = f"S3_ACCESS_KEY {_KEY}\nS3_SECRET {_SECRET}\n"
    connection = f"TYPE s3\nS3_REGION us-east-1\nS3_ENDPOINT {url}\n{keys}"
    (project / "lake.connection").write_text(connection, encoding="utf-8")
    with serve(folder / f"data_{kind}", project, {"CLICKPIPE_IMPORT_PRIVATE_URLS": "allow"}) as server:
        connect = server.connect()
        job = json.loads(server.request(connect, "POST", "/v0/datasources/hits/scheduling/runs"))
        job = job.get("job", job)
        while job["status"] not in {"done", "error"}:
            time.sleep(0.05)
            job = json.loads(server.request(connect, "GET", f"/v0/jobs/{job['id']}"))
    assert (job["status"], job.get("rows")) == ("done", ROWS), job
    times = [datetime.fromisoformat(job[at]) for at in ("created_at", "updated_at")]
    return ROWS / (times[1] - times[0]).total_seconds()
