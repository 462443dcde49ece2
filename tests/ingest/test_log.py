from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import cast

import pytest

from clickpipe.engine import Engine, Look
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.log_file import Record, Segment, read_records
from tests.conftest import RunPython
from tests.ingest.conftest import ONE

RECORDS = [Record("one", b'{"a":1}\n{"a":2}'), Record("two", b"x"), Record("three", b"")]


@pytest.fixture
def log(tmp_path: Path) -> WriteAheadLog:
    return WriteAheadLog(tmp_path / "wal")


def written(log: WriteAheadLog) -> Segment:
    return log.write("w", "events", RECORDS)


def test_what_is_written_is_read(log: WriteAheadLog) -> None:
    segment = written(log)
    assert list(read_records(segment)) == RECORDS
    assert log.unfinished() == [segment]


def test_tokens_differ_and_segments_come_in_order(log: WriteAheadLog) -> None:
    segments = [log.write(workspace, source, RECORDS) for workspace, source in [("w", "b"), ("v", "a"), ("w", "a")] * 3]
    assert log.unfinished() == segments
    assert len({s.token for s in segments}) == len(segments)


def test_a_new_log_on_the_folder_finds_the_same(log: WriteAheadLog, tmp_path: Path) -> None:
    segment = written(log)
    again = WriteAheadLog(tmp_path / "wal")
    assert again.unfinished() == [segment]
    assert again.write("w", "events", RECORDS).path.name > segment.path.name


def test_what_is_removed_or_set_aside_is_not_found_again(log: WriteAheadLog) -> None:
    log.remove(written(log))
    kept = log.set_aside(written(log))
    assert log.unfinished() == []
    assert kept.suffix == ".rejected"
    assert kept.exists()


def test_who_has_the_log_settled_waits_for_what_another_thread_removes(
    engine: Engine, log: WriteAheadLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that came back behind a deployment would be new to its tables."""
    segment, begun, go_on = written(log), threading.Event(), threading.Event()

    def sync(_folder: Path) -> None:
        begun.set()
        assert go_on.wait(20)

    monkeypatch.setattr("clickpipe.ingest.log.sync_file_system", sync)
    log.inserted(segment, engine.look())
    with ThreadPoolExecutor(2) as pool:
        clock = pool.submit(log.settle, engine, print)
        assert begun.wait(20)
        deployment = pool.submit(log.settle, engine, print, "w")
        done, _ = wait([deployment], timeout=0.3)
        go_on.set()
        clock.result()
        deployment.result()
    assert not done
    assert not segment.path.exists()


def test_a_torn_tail_gives_whole_records_only(log: WriteAheadLog) -> None:
    segment = written(log)
    whole = segment.path.read_bytes()
    seen = set()
    for length in range(len(whole)):
        segment.path.write_bytes(whole[:length])
        found = list(read_records(segment))
        assert found == RECORDS[: len(found)]
        seen.add(len(found))
    assert seen == {0, 1, 2}


def test_what_cannot_be_read_is_kept_where_it_may_be_looked_at(log: WriteAheadLog) -> None:
    whole = written(log).path.read_bytes()
    for data, ending in (
        (whole, None),
        (whole[:7], None),
        (whole[:-1], ".torn"),
        (whole[:-25], ".torn"),
        (whole.replace(b"twox", b"twoy"), ".rejected"),
        (b"something else", ".rejected"),
    ):
        segment = written(log)
        segment.path.write_bytes(data)
        log.write_refused(segment, {})
        kept = log.set_rest_aside(segment)
        assert (kept.suffix if kept else None) == ending
        assert not segment.path.exists()
        decided = log.read_refused(segment) is not None  # of what may be taken back
        assert decided is (ending == ".rejected")


def test_a_damaged_record_ends_the_reading(log: WriteAheadLog) -> None:
    segment = written(log)
    segment.path.write_bytes(segment.path.read_bytes().replace(b"twox", b"twoy"))
    assert list(read_records(segment)) == RECORDS[:1]


@pytest.mark.parametrize("full", ["fsync", "open"])
def test_a_segment_that_cannot_be_written_is_not_left_behind(
    log: WriteAheadLog, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    log.remove(written(log))  # the folders are there

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"clickpipe.ingest.log.os.{full}", fail)
    with pytest.raises(OSError, match="No space left"):
        written(log)
    monkeypatch.undo()
    assert log.unfinished() == []


def test_another_file_is_no_segment(log: WriteAheadLog) -> None:
    segment = written(log)
    segment.path.write_bytes(b"something else")
    assert list(read_records(segment)) == []


def test_a_disk_that_is_full_keeps_what_was_written_before(run_python: RunPython, tmp_path: Path) -> None:
    """The file may not grow beyond a size: the system refuses in the middle of a write."""
    code = """
        import resource, sys
        from pathlib import Path
        from clickpipe.ingest.log import WriteAheadLog
        from clickpipe.ingest.log_file import Record, read_records

        log = WriteAheadLog(Path(sys.argv[1]))
        opened = log.open("w", "events")
        opened.append([Record("one", b"x" * 500)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            opened.append([Record("two", b"y" * 100), Record("three", b"z" * 900)])
        except OSError as error:
            print(error.strerror)
        opened.append([Record("four", b"w" * 100)])
        opened.close()
        print([record.import_id for record in read_records(opened.segment)], log.set_rest_aside(opened.segment))
    """
    assert run_python(code, tmp_path).stdout.splitlines() == ["File too large", "['one', 'four'] None"]


@pytest.mark.parametrize(("suffix", "stays"), [(".wal", True), (".rejected", True), ("", False)])
def test_what_a_segment_that_is_gone_left_is_removed(tmp_path: Path, suffix: str, *, stays: bool) -> None:
    """A kill between its two files: the lines go first, so that what is refused is never decided anew."""
    log = WriteAheadLog(tmp_path)
    segment = log.write("w", "events", [Record(ONE, b"{}")])
    log.write_refused(segment, {"refused": [], "pieces": []})
    segment.path.rename(segment.path.with_suffix(suffix)) if suffix else segment.path.unlink()
    assert len(log.unfinished()) == (suffix == ".wal")
    assert bool(list(tmp_path.rglob("*.refused"))) is stays


def test_nothing_is_left_of_what_is_refused_on_a_full_disk_or_cut_off(
    log: WriteAheadLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = written(log)
    with monkeypatch.context() as full:
        full.setattr("clickpipe.ingest.log.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OSError, match="No space left"):
            log.write_refused(segment, {})
    assert log.read_refused(segment) is None
    assert [path.suffix for path in segment.path.parent.iterdir()] == [".wal"]
    segment.path.with_suffix(".new").write_text("{")
    segment.path.with_suffix(".refused").write_text("{}")
    assert log.unfinished() == [segment]
    assert {path.suffix for path in segment.path.parent.iterdir()} == {".wal", ".refused"}
    segment.path.unlink()
    log.unfinished()
    assert list(segment.path.parent.iterdir()) == []


class Disk:
    """An engine whose disk is looked at."""

    def __init__(self) -> None:
        self.repairs = 0

    def look(self) -> Look:
        return Look(0, 0.0, self.repairs)

    def inspect(self, _since: Look) -> Look:
        return self.look()


def test_segments_that_are_to_be_inserted_again_are_handed_over_whatever_fails(
    log: WriteAheadLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, lost, kept, given = Disk(), written(log), written(log), list[Segment]()
    engine = cast("Engine", disk)
    log.inserted(lost, engine.look())
    disk.repairs = 1
    log.inserted(kept, engine.look())

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        log.settle(engine, fail)
    with monkeypatch.context() as broken:
        broken.setattr(log, "remove", fail)
        with pytest.raises(OSError, match="Input/output"):
            log.settle(engine, given.extend)
    assert given == [lost]
    assert log.settle(engine, given.extend) is False
    assert (given, lost.path.exists(), kept.path.exists()) == ([lost], True, False)
    log.inserted(lost, engine.look())
    log.forget("w")
    disk.repairs = 2
    assert log.settle(engine, given.extend) is False


def test_counting_segments_takes_nothing_from_who_writes(log: WriteAheadLog) -> None:
    """Metrics count them at any time: also while what is refused is being written, or a segment is taken back."""
    segment = written(log)
    beside = [segment.path.with_suffix(suffix) for suffix in (".new", ".refused", ".kept")]
    segment.path.rename(segment.path.with_suffix(".moving"))
    for path in beside:
        path.write_text("{}")
    assert log.segments() == []
    segment.path.with_suffix(".moving").rename(segment.path)
    assert log.segments() == [segment]
    assert all(path.exists() for path in beside)
