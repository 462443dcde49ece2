"""Starts an S3 server for tests, puts files of orders into its bucket, serves `files-in-a-bucket`. Ctrl-C ends it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

from examples.serving import serve

FOLDER = Path(__file__).parent / "files-in-a-bucket"

KEY, SECRET, BUCKET = "an-access-key", "a-secret-key", "lake"
FIELDS = ("id", "ordered_at", "country", "amount")
START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = 10.0  # seconds between new files


def orders(first: int, count: int) -> list[dict[str, object]]:
    """Return orders with the numbers from `first` on."""
    return [
        {
            "id": number,
            "ordered_at": (START + timedelta(minutes=7 * number)).strftime("%Y-%m-%d %H:%M:%S"),
            "country": random.choice(("DE", "ES", "FR", "IT", "US")),
            "amount": f"{random.uniform(5, 500):.2f}",
        }
        for number in range(first, first + count)
    ]


def as_csv(rows: list[dict[str, object]]) -> bytes:
    """Return rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_ndjson(rows: list[dict[str, object]]) -> bytes:
    """Return rows as lines of JSON."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def main(options: list[str]) -> int:
    """Run it with options of `clickpipe dev`; return the server's exit code."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    s3 = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="orders/2026-01.csv", Body=as_csv(orders(1, 500)))
    s3.put_object(Bucket=BUCKET, Key="orders/2026-02.ndjson.gz", Body=gzip.compress(as_ndjson(orders(501, 500))))

    def feed(stop: threading.Event) -> None:
        first = 1_001
        while not stop.wait(EVERY):
            s3.put_object(Bucket=BUCKET, Key=f"orders/{first}.ndjson", Body=as_ndjson(orders(first, 100)))
            first += 100

    try:
        return serve(FOLDER, {"LAKE_URL": url, "LAKE_KEY": KEY, "LAKE_SECRET": SECRET}, feed, options)
    finally:
        server.stop()
