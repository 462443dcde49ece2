"""What is checked again after a change, and that the result is that of a whole check."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from clickpipe.checking import changes
from clickpipe.checking.changes import check_changes
from clickpipe.compiler import CompiledProject, FileNames, compile_project
from clickpipe.compiler.names import affected, needed
from clickpipe.config import STRICT_RULES, ProjectRules
from clickpipe.diagnostics import Severity
from clickpipe.engine import EmbeddedEngine, scratch
from clickpipe.folder import CheckResult, RecordStore
from clickpipe.project import Project, load_texts

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE MergeTree\nENGINE_SORTING_KEY id\n"
FILES = {
    "events.datasource": EVENTS,
    "other.datasource": "SCHEMA >\n    id String\n\nENGINE MergeTree\nENGINE_SORTING_KEY id\n",
    "daily.datasource": (
        "SCHEMA >\n    id String,\n    hits AggregateFunction(count)\n\n"
        "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
    ),
    "inner.pipe": "NODE inner_node\nSQL >\n    SELECT id, n FROM events\n",
    "top.pipe": "NODE out\nSQL >\n    %\n    SELECT id, n FROM inner WHERE n > {{Int32(least, 1)}}\n\nTYPE endpoint\n",
    "all.pipe": "NODE out\nSQL >\n    SELECT * FROM other\n\nTYPE endpoint\n",
    "daily_mv.pipe": (
        "NODE out\nSQL >\n    SELECT id, countState() AS hits FROM events GROUP BY id\n\n"
        "TYPE materialized\nDATASOURCE daily\n"
    ),
    "bad.pipe": "NODE out\nSQL >\n    SELECT count() FROM evnts_quarantine\n\nTYPE endpoint\n",
    "part.pipe": 'NODE out\nSQL >\n    SELECT 1 AS one\n\nINCLUDE "end.incl"\n',
    "end.incl": "TYPE endpoint\n",
}


class Checked:
    """Checks texts as `check_changes` would a folder, and keeps which files were compiled."""

    def __init__(self, root: Path, engine: EmbeddedEngine) -> None:
        self.root = root
        self.engine = engine
        self.compiled: set[str] = set()

    def compile(self, project: Project, rules: ProjectRules = STRICT_RULES) -> CompiledProject:
        self.compiled = {file for file in project.files if not file.endswith(".incl")}
        with scratch(self.engine) as checker:
            return compile_project(project, checker, rules)

    def changes(self, texts: Mapping[str, str]) -> CheckResult:
        self.compiled = set()
        return check_changes(self.root, {file: text.encode() for file, text in texts.items()}, STRICT_RULES)

    def whole(self, texts: Mapping[str, str]) -> CheckResult:
        compiled = self.compile(load_texts(texts))
        return CheckResult(compiled.diagnostics, compiled.project.sources, 0, 0)


@pytest.fixture
def checked(tmp_path: Path, engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> Checked:
    found = Checked(tmp_path, engine)
    monkeypatch.setattr(changes, "compile_alone", found.compile)
    return found


@pytest.mark.parametrize(
    ("edits", "compiled"),
    [
        ({}, set()),
        ({"all.pipe": FILES["all.pipe"].replace("*", "id")}, {"all.pipe", "other.datasource"}),
        ({"top.pipe": FILES["top.pipe"].replace("1", "2")}, {"top.pipe", "inner.pipe", "events.datasource"}),
        ({"other.datasource": FILES["other.datasource"] + "# new\n"}, {"other.datasource", "all.pipe"}),
        ({"end.incl": "TYPE endpoint\n# new\n"}, {"part.pipe"}),
        (
            {"events.datasource": EVENTS.replace("n Int32", "n UInt8")},
            {"events.datasource", "inner.pipe", "top.pipe", "daily_mv.pipe", "daily.datasource"},
        ),
        ({"new.pipe": FILES["all.pipe"]}, {"new.pipe", "other.datasource"}),
        ({"other.datasource": None}, {"all.pipe"}),
        ({"evnts.datasource": EVENTS}, {"evnts.datasource"}),
    ],
)
def test_only_what_a_change_touches_is_compiled(
    checked: Checked, edits: Mapping[str, str | None], compiled: set[str]
) -> None:
    checked.changes(FILES)
    texts = {file: text for file, text in {**FILES, **edits}.items() if text is not None}
    result = checked.changes(texts)
    assert checked.compiled == compiled | {"bad.pipe"}  # one with an error is looked at each time
    assert result.diagnostics == checked.whole(texts).diagnostics


def test_a_misspelt_name_is_told_what_it_may_have_meant_anywhere(checked: Checked) -> None:
    checked.changes(FILES)
    result = checked.changes({**FILES, "typo.pipe": FILES["all.pipe"].replace("other", "othr")})
    assert [d.hint for d in result.diagnostics if d.span.file == "typo.pipe"] == ["did you mean 'other'?"]


def test_warnings_of_files_that_are_not_looked_at_are_told_again(checked: Checked) -> None:
    unused = "NODE idle\nSQL >\n    SELECT 2 AS two\n\n" + FILES["all.pipe"]
    texts = {**FILES, "all.pipe": unused}
    first = checked.changes(texts)
    assert "CP2008" in {d.code for d in first.diagnostics}
    again = checked.changes({**texts, "part.pipe": FILES["part.pipe"].replace("1", "2")})
    assert "all.pipe" not in checked.compiled
    assert again.diagnostics == first.diagnostics


def test_a_broken_memory_is_none(checked: Checked) -> None:
    first = checked.changes(FILES)
    path = checked.root / ".clickpipe" / "cache" / "files.json"
    for data in (b"", b"x\n{}", path.read_bytes()[:-9], b"\xff\n"):
        path.write_bytes(data)
        assert checked.changes(FILES).diagnostics == first.diagnostics
        assert checked.compiled == {file for file in FILES if not file.endswith(".incl")}
    assert RecordStore(checked.root).load() is not None


def test_another_setting_has_everything_checked(checked: Checked) -> None:
    broken = "NODE n\nSQL >\n    %\n    SELECT {% if defined(a) %} nope {% else %} 1 {% end %} AS x\n\nTYPE endpoint\n"
    files: dict[str, bytes | OSError] = {"p.pipe": broken.encode()}
    for lenient, severity in ((False, Severity.ERROR), (True, Severity.WARNING), (True, Severity.WARNING)):
        found = check_changes(checked.root, files, ProjectRules(lenient))
        assert [(d.code, d.severity) for d in found.diagnostics] == [("CP4002", severity)]


def test_an_unreadable_file_has_everything_checked(checked: Checked) -> None:
    checked.changes(FILES)
    files: dict[str, bytes | OSError] = {file: text.encode() for file, text in FILES.items()}
    files["odd.pipe"] = OSError(13, "no")
    found = check_changes(checked.root, files, STRICT_RULES)
    assert "CP2005" in {d.code for d in found.diagnostics}
    assert checked.changes(FILES).diagnostics != found.diagnostics


NAMES = ["a", "b", "c", "d__v2", "e"]


def random_file(rng: random.Random) -> tuple[str, str]:
    """Return a file's name and text: one of a few names, which read each other, or nothing that is there."""
    name = rng.choice(NAMES)
    other = rng.choice([*NAMES, "d", "a_quarantine", "aa", "x.y"])
    if rng.random() < 0.4:
        columns = rng.choice(["id String,\n    n Int32", "id String", "id Strin", "id String DEFAULT"])
        more = rng.choice(["", "VERSION 2\n", "TAGS one\n", 'KAFKA_CONNECTION_NAME "k"\n', 'INCLUDE "i.incl"\n'])
        return f"{name}.datasource", f"{more}SCHEMA >\n    {columns}\n\nENGINE MergeTree\nENGINE_SORTING_KEY id\n"
    if rng.random() < 0.1:
        return rng.choice([("i.incl", "TAGS two\n"), ("i.incl", "TAGZ two\n"), ("k.connection", "TYPE kafka\n")])
    columns = rng.choice(["*", "id", "id, n", "count() AS n, 'x' AS id"])
    view = f"TYPE materialized\nDATASOURCE {rng.choice(NAMES)}\n"
    ends = ["TYPE endpoint\n", "", view, f"{view}ENGINE MergeTree\nENGINE_SORTING_KEY id\n", 'INCLUDE "i.incl"\n']
    end = rng.choice(ends)
    percent = rng.choice(["", "%\n    "])
    call = " LIMIT {{Int32(most)}}" if percent and rng.random() < 0.3 else ""
    return f"{name}.pipe", f"NODE n\nSQL >\n    {percent}SELECT {columns} FROM {other}{call}\n\n{end}"


def edit(texts: dict[str, str], rng: random.Random) -> None:
    """Write, or sometimes remove, a file or three."""
    for _ in range(rng.choice([1, 1, 3])):
        file, text = random_file(rng)
        if rng.random() < 0.2:
            texts.pop(file, None)
        else:
            texts[file] = text


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_any_changes_end_as_a_whole_check_does(checked: Checked, seed: int) -> None:
    rng = random.Random(seed)
    texts: dict[str, str] = {}
    for _ in range(25):
        edit(texts, rng)
        if not texts:
            continue
        found = checked.changes(texts)
        expected = checked.whole(texts)
        told, wanted = ([plain(d) for d in result.diagnostics] for result in (found, expected))
        assert (set(told) - set(wanted), set(wanted) - set(told)) == (set(), set()), texts
        assert told == wanted


def plain(diagnostic: object) -> str:
    return re.sub(r"check_[0-9a-f]{12}", "", repr(diagnostic))


def test_names_spread_over_readers_and_namesakes() -> None:
    def names(defines: str, reads: str) -> FileNames:
        return FileNames(frozenset(defines.split()), frozenset(reads.split()))

    known = {"a": names("a", ""), "b": names("b", "a"), "c": names("c", "b"), "d": names("d", "x"), "e": names("a", "")}
    assert affected(known, {"a": names("a", "")}, [], []) == {"a", "b", "c", "e"}
    assert affected(known, {}, ["a"], ["d"]) == {"b", "c", "d", "e"}
    assert affected(known, {"f": names("x", "")}, [], []) == {"d", "f"}
    assert affected(known, {"c": names("c", "")}, [], []) == {"c"}
    assert needed(known, ["c"]) == {"a", "b", "c", "e"}
