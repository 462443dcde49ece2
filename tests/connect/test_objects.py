"""Listing and fetching a bucket's files; what a hostile address may answer."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clickpipe.connect import Bucket, Objects
from clickpipe.connect.listing import read_page
from clickpipe.connect.signing import Keys
from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import files_of
from tests.connect.buckets import TestBucket, serving


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def lake(s3: str) -> TestBucket:
    return TestBucket(s3)


def objects(url: str, name: str, path: str = "**", since: datetime | None = None, *, private: bool = True) -> Objects:
    keys = Keys("an-access-key", "a-secret-key", "us-east-1")
    bucket = Bucket("w", "events", files_of(f"s3://{name}/{path}"), "@auto", "", since, url, keys)
    return Objects(bucket, private=private, limit=1000, seconds=20.0)


def keys_of(found: Objects, tmp_path: Path) -> list[str]:
    return [file.key for page in found.pages(tmp_path / "page") for file in page]


ODD = [
    "a b.csv",
    "a+b.csv",
    "a%20b.csv",
    "a&b=c.csv",
    "é/ü.csv",
    "x'y\".csv",
    "a;b,c.csv",
    "#?.csv",
    "a//b.csv",
    "~.csv",
]


def test_files_with_any_name_are_listed_and_fetched(lake: TestBucket, tmp_path: Path) -> None:
    for key in ODD:
        lake.put(f"in/{key}", key)
    lake.put("out/a.csv", "")
    lake.put("in/folder/", "")
    found = objects(lake.url, lake.name, "in/**")
    files = {file.key: file for page in found.pages(tmp_path / "page") for file in page}
    assert set(files) == {f"in/{key}" for key in ODD}
    for key in ODD:
        found.fetch(files[f"in/{key}"], tmp_path / "file", lambda _: None)
        assert (tmp_path / "file").read_text() == key
    assert not (tmp_path / "page").exists()


def test_a_listing_of_several_pages(lake: TestBucket, tmp_path: Path) -> None:
    for n in range(1003):
        lake.put(f"in/{n:04}.csv", "")
    found = keys_of(objects(lake.url, lake.name, "in/*"), tmp_path)
    assert found == [f"in/{n:04}.csv" for n in range(1003)]


def test_files_from_a_time_on(lake: TestBucket, tmp_path: Path) -> None:
    lake.put("a.csv", "")
    assert keys_of(objects(lake.url, lake.name, since=datetime(2020, 1, 1, tzinfo=UTC)), tmp_path) == ["a.csv"]
    assert keys_of(objects(lake.url, lake.name, since=datetime(2200, 1, 1, tzinfo=UTC)), tmp_path) == []


def test_a_file_that_changed_since_it_was_listed_is_not_fetched(lake: TestBucket, tmp_path: Path) -> None:
    lake.put("a.csv", "old")
    found = objects(lake.url, lake.name)
    [[file]] = found.pages(tmp_path / "page")
    lake.put("a.csv", "new")
    with pytest.raises(ClickpipeError, match="412: PreconditionFailed, the file has changed meanwhile"):
        found.fetch(file, tmp_path / "file", lambda _: None)
    lake.remove("a.csv")
    with pytest.raises(ClickpipeError, match=r"404: NoSuchKey, the file is gone|412"):
        found.fetch(file, tmp_path / "file", lambda _: None)


def test_a_bucket_that_is_not_there(lake: TestBucket, tmp_path: Path) -> None:
    with pytest.raises(ClickpipeError, match="The bucket answered with the status 404: NoSuchBucket") as error:
        keys_of(objects(lake.url, "nothing"), tmp_path)
    assert "key" not in error.value.message


def test_private_addresses_are_refused(lake: TestBucket, tmp_path: Path) -> None:
    with pytest.raises(ClickpipeError, match="not public") as error:
        keys_of(objects(lake.url, lake.name, private=False), tmp_path)
    assert error.value.status == 403


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def hostile() -> Iterator[tuple[str, list[Answer], list[str]]]:
    """A server that answers as it is told, and what it was asked."""
    answers, asked = list[Answer](), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answers[0](self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", answers, asked
    server.shutdown()
    server.server_close()


def says(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


BOMB = (
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">]><ListBucketResult><Contents><Key>&b;</Key></Contents></ListBucketResult>'
)
CONTENT = (
    b"<Contents><Key>%s</Key><ETag>%s</ETag><Size>1</Size><LastModified>2026-01-31T00:00:00</LastModified></Contents>"
)
CONTENTS = b"<ListBucketResult><Contents>%s</Contents></ListBucketResult>"


@pytest.mark.parametrize(
    "answer",
    [
        says(b""),
        says(b"{}"),
        says(b"<html>"),
        says(BOMB),
        says(CONTENTS % b"<Key>a</Key>"),
        says(
            CONTENTS % b"<Key>a</Key><ETag>1</ETag><Size>many</Size><LastModified>2026-01-31T00:00:00Z</LastModified>"
        ),
        says(CONTENTS % b"<Key>a</Key><ETag>1</ETag><Size>1</Size><LastModified>soon</LastModified>"),
        says("<Größe>".encode("utf-16")),
        says(b"\xff\xfe\x00"),
        says(b"<a>" * 100_000),
        says(f'<?xml version="1.0" encoding="utf-16"?>{BOMB.decode()}'.encode("utf-16")),
        says(b"<a>" * 30 + b"</a>" * 30),
        says(b"<L>" + CONTENT % (b"a", b"1") * 10_001 + b"</L>"),
        says(b"<L>" + CONTENT % (b"a" * 1025, b"1") + b"</L>"),
        says(b"<L>" + CONTENT % (b"a", b"1" * 1025) + b"</L>"),
        says(b"<L>" + CONTENT % (b"a", b"1&#13;&#10;Host: elsewhere") + b"</L>"),
        says(b"<L>" + CONTENT % (b"a", "ü".encode()) + b"</L>"),
        says(b"<L>" + CONTENT % (b"a</Key><Key>b", b"1") + b"</Contents></L>"),
    ],
)
def test_what_is_no_listing_is_refused(
    hostile: tuple[str, list[Answer], list[str]], tmp_path: Path, answer: Answer
) -> None:
    url, answers, _ = hostile
    answers.append(answer)
    with pytest.raises(ClickpipeError, match="does not answer as S3 does"):
        keys_of(objects(url, "bucket"), tmp_path)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"<Error><Code>AccessDenied</Code><Message>secret text</Message></Error>", ": AccessDenied, the key may not"),
        (b"<Error><Code>Odd</Code></Error>", ": Odd."),
        (b"<Error><Code>a secret text</Code></Error>", "403."),
        (b"root:x:0:0", "403."),
    ],
)
def test_of_an_error_only_its_code_is_shown(
    hostile: tuple[str, list[Answer], list[str]], tmp_path: Path, body: bytes, shown: str
) -> None:
    url, answers, _ = hostile
    answers.append(says(body, 403))
    with pytest.raises(ClickpipeError, match="The bucket answered with the status 403") as error:
        keys_of(objects(url, "bucket"), tmp_path)
    assert shown in error.value.message
    assert "secret" not in error.value.message
    assert "root" not in error.value.message


def test_a_listing_without_an_end_ends(hostile: tuple[str, list[Answer], list[str]], tmp_path: Path) -> None:
    url, answers, asked = hostile
    again = b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    answers.append(says(again + b"</ListBucketResult>"))
    with pytest.raises(ClickpipeError, match="the same page again"):
        keys_of(objects(url, "bucket"), tmp_path)
    assert len(asked) == 2


@pytest.fixture
def endless(hostile: tuple[str, list[Answer], list[str]]) -> tuple[str, list[str]]:
    """A listing whose pages all name another page as the next, and what was asked."""
    url, answers, asked = hostile
    page = "<L><IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken></L>"

    def another(handler: BaseHTTPRequestHandler) -> None:
        says((page % len(asked)).encode())(handler)

    answers.append(another)
    return url, asked


def test_a_listing_with_ever_new_pages_ends_with_its_time(endless: tuple[str, list[str]], tmp_path: Path) -> None:
    found = objects(endless[0], "bucket")
    found._seconds = 0.5
    with pytest.raises(ClickpipeError, match="import_max_seconds"):
        keys_of(found, tmp_path)


class EnoughError(Exception):
    pass


def test_a_listing_ends_when_it_is_told(endless: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = endless

    def check() -> None:
        if len(asked) > 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        list(objects(url, "bucket").pages(tmp_path / "page", check))


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_page_that_comes_byte_by_byte_ends_when_it_is_told(
    hostile: tuple[str, list[Answer], list[str]], tmp_path: Path, begin: bytes
) -> None:
    url, answers, asked = hostile
    told = threading.Event()

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(begin)
        while not told.wait(0.1):
            handler.wfile.write(b"a")

    def check() -> None:
        if asked:
            raise EnoughError

    answers.append(slowly)
    found = objects(url, "bucket")
    found._seconds = 3600.0
    try:
        with pytest.raises(EnoughError):
            list(found.pages(tmp_path / "page", check))
    finally:
        told.set()


def test_a_page_takes_memory_for_its_files_only() -> None:
    page = b"<L>" + b"<a/>" * 500_000 + CONTENT % (b"a", b"1") + b"</L>"
    tracemalloc.start()
    try:
        files, _ = read_page(page)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(page)
    finally:
        tracemalloc.stop()
    assert [(file.key, file.changed) for file in files] == [("a", datetime(2026, 1, 31, tzinfo=UTC))]


def test_a_file_that_is_too_large(lake: TestBucket, tmp_path: Path) -> None:
    lake.put("a.csv", "x" * 1001)
    found = objects(lake.url, lake.name)
    [[file]] = found.pages(tmp_path / "page")
    with pytest.raises(ClickpipeError, match="larger than 1000 bytes"):
        found.fetch(file, tmp_path / "file", lambda _: None)
