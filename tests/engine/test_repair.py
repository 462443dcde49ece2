from __future__ import annotations

import json
from pathlib import Path

import pytest

from clickpipe.engine.repair import mend_deduplication_logs
from tests.conftest import RunPython

PARTS = ("all_1_4_1", "all_5_5_0", "202601_2_2_0", "tmp_insert_all_7_7_0", "detached", "all_9_9_0_12")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    table = tmp_path / "store" / "abc" / "abc-1"
    for part in PARTS:
        (table / part).mkdir(parents=True)
    (table / "deduplication_logs").mkdir()
    return table


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("1\tall_5_5_0\ttoken", True),
        ("1\tall_2_2_0\ttoken", True),  # merged into another
        ("1\tall_9_9_0\ttoken", True),  # mutated since
        ("1\tall_7_7_0\ttoken", False),  # its rows were written, not named
        ("1\tall_6_6_0\ttoken", False),
        ("1\t202601_1_1_0\ttoken", False),  # of another partition
        ("1\t202601_2_2_0\ttoken", True),
        ("2\tall_6_6_0\ttoken", True),  # dropped
        ("1\tall_5", False),  # torn
    ],
)
def test_tokens_without_a_part_go(tmp_path: Path, table: Path, line: str, *, stays: bool) -> None:
    old, new = (table / "deduplication_logs" / f"deduplication_log_{n}.txt" for n in (9, 10))
    old.write_text("1\tall_3_3_0\told\n")
    first = "1\tall_1_1_0\tfirst\n"
    new.write_text(f"{first}{line}\n")
    assert mend_deduplication_logs(tmp_path) == (0 if stays else 1)
    assert new.read_text() == first + (f"{line}\n" if stays else "")
    assert old.read_text() == "1\tall_3_3_0\told\n"


ENTRY = "1\tall_5_5_0\tw/events/7"


@pytest.mark.parametrize("cut", range(len("1\tall_6_6_0\tw/events/8") + 1))
@pytest.mark.parametrize("end", ["\n", ""])
def test_an_entry_behind_a_part_of_another_stays(tmp_path: Path, table: Path, cut: int, end: str) -> None:
    """A full disk took a part of an entry: ClickHouse writes the next one behind it."""
    log = table / "deduplication_logs" / "deduplication_log_1.txt"
    torn = "1\tall_6_6_0\tw/events/8"[:cut]
    log.write_text(f"{torn}{ENTRY}{end}")
    mend_deduplication_logs(tmp_path)
    assert log.read_text().removesuffix("\n") == ENTRY
    log.write_text(f"{ENTRY}\n{torn}{end}")
    mend_deduplication_logs(tmp_path)
    assert log.read_text() == f"{ENTRY}\n"


def test_the_newest_entries_of_all_logs_are_looked_at(tmp_path: Path, table: Path) -> None:
    """It was killed when a new log had just been begun."""
    logs = [table / "deduplication_logs" / f"deduplication_log_{n}.txt" for n in (1, 2, 3)]
    logs[0].write_text("1\tall_6_6_0\tlong ago\n" * 2)
    logs[1].write_text(f"{ENTRY}\n" * 198 + "1\tall_7_7_0\tw/events/9\n")
    logs[2].write_text(f"{ENTRY}\n")
    assert mend_deduplication_logs(tmp_path) == 1
    assert [log.read_text() for log in logs] == ["1\tall_6_6_0\tlong ago\n" * 2, f"{ENTRY}\n" * 198, f"{ENTRY}\n"]


@pytest.mark.usefixtures("table")
def test_nothing_there_is_nothing_to_mend(tmp_path: Path) -> None:
    assert mend_deduplication_logs(tmp_path / "no") == 0
    assert mend_deduplication_logs(tmp_path) == 0


# Inserts rows of 1, each with a token, and says how many there are. Then, as a process that was killed: a part that is
# named goes, or entries of the deduplication log are other than they were.
INSERTS = """
    import json, shutil, sys
    from pathlib import Path
    from clickpipe.engine import EmbeddedEngine

    folder, (tokens, part, before, after) = Path(sys.argv[1]), json.loads(sys.argv[2])
    engine = EmbeddedEngine(folder)
    engine.execute("CREATE DATABASE IF NOT EXISTS d")
    window = "SETTINGS non_replicated_deduplication_window = 100"
    engine.execute(f"CREATE TABLE IF NOT EXISTS d.t (n Int64) ENGINE = MergeTree ORDER BY n {window}")
    for token in tokens:
        engine.execute("INSERT INTO d.t SELECT 1", settings={"insert_deduplication_token": token})
    print(engine.execute("SELECT count() FROM d.t", output="TSV").body.decode().strip())
    engine.close()
    if part:
        (found,) = (folder / "data").glob(f"store/*/*/{part}")
        shutil.rmtree(found)
    if before:
        (log,) = (folder / "data").glob("store/*/*/deduplication_logs/deduplication_log_1.txt")
        log.write_text(log.read_text().replace(before, after))
    (folder / "running").touch()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tokens", "part", "before", "after"),
    [
        pytest.param(("one", "two"), "all_2_2_0", "", "", id="a part that was not named"),
        pytest.param(
            ("one", "two", "three"), "", "all_2_2_0", "all_9_9_0\ttorn1\tall_2_2_0", id="behind a part of another"
        ),
    ],
)
def test_clickhouse_knows_the_tokens_of_what_is_there_alone(
    run_python: RunPython, tmp_path: Path, tokens: tuple[str, ...], part: str, before: str, after: str
) -> None:
    first = run_python(INSERTS, tmp_path, json.dumps([tokens, part, before, after]))
    again = [run_python(INSERTS, tmp_path, json.dumps([tokens, "", "", ""])) for _ in range(2)]
    assert [int(run.stdout) for run in (first, *again)] == [len(tokens)] * 3


def test_bytes_that_are_no_text_cost_their_line_and_no_other(tmp_path: Path, table: Path) -> None:
    log = table / "deduplication_logs" / "deduplication_log_1.txt"
    log.write_bytes(f"{ENTRY}\n".encode() + b"\xff\xfe\x80\n" + f"{ENTRY}\n".encode())
    assert mend_deduplication_logs(tmp_path) == 1
    assert log.read_text() == f"{ENTRY}\n" * 2
