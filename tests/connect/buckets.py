"""A bucket that is no S3: moto's server, in this process."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

SCHEMA = "SCHEMA >\n    id String `json:$.id`,\n    n Int32 `json:$.n`\n\nENGINE_SORTING_KEY id\n"
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
VIEW = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"


class TestBucket:
    """A bucket of its own for each test."""

    __test__ = False

    def __init__(self, url: str) -> None:
        self.url, self.name = url, f"test-{uuid.uuid4().hex}"
        keys = {"aws_access_key_id": "an-access-key", "aws_secret_access_key": "a-secret-key"}
        self._client: Any = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
        self._client.create_bucket(Bucket=self.name)

    def put(self, key: str, body: bytes | str) -> None:
        self._client.put_object(Bucket=self.name, Key=key, Body=body if isinstance(body, bytes) else body.encode())

    def names(self) -> list[str]:
        found = self._client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return sorted(each["Key"] for each in found)

    def get(self, key: str) -> bytes:
        found: bytes = self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return found

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=self.name, Key=key)

    @property
    def connection(self) -> str:
        """Return the datafile of a connection to it."""
        keys = "S3_ACCESS_KEY an-access-key\nS3_SECRET a-secret-key\n"
        return f"TYPE s3\nS3_REGION us-east-1\nS3_ENDPOINT {self.url}\n{keys}"

    def files(self, path: str = "in/*", schedule: str = "@auto", **options: str) -> dict[str, str]:
        """Return a project whose data source `events`, with a view behind it, imports files of the bucket."""
        wanted = {"IMPORT_BUCKET_URI": f"s3://{self.name}/{path}", "IMPORT_SCHEDULE": schedule, **options}
        lines = "".join(f"{name} {value}\n" for name, value in wanted.items())
        return {
            "events.datasource": f"{SCHEMA}IMPORT_CONNECTION_NAME lake\n{lines}",
            "lake.connection": self.connection,
            "sums.datasource": SUMS,
            "sums_mv.pipe": VIEW,
        }


def rows(*found: Mapping[str, Any]) -> str:
    """Return rows as NDJSON."""
    return "".join(json.dumps(dict(row)) + "\n" for row in found)


@contextmanager
def serving() -> Iterator[str]:
    """Run the server, and yield its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
