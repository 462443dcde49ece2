from __future__ import annotations

from pathlib import Path

import pytest

from clickpipe.project import datafile_paths, decode, load_folder, read_folder, scaffold, scaffold_files
from tests.conftest import Compile


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "SCHEMA >\n    id String\n" if name.endswith(".datasource") else "NODE n\nSQL >\n    SELECT 1\n"
        )


def test_datafiles_are_found_at_any_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["a.datasource", "datasources/b.datasource", "x/y/z/w/c.pipe"]
    write(tmp_path, *found)
    write(
        tmp_path,
        *(
            ".git/d.pipe",
            ".venv/lib/e.pipe",
            "node_modules/m/f.pipe",
            "vendor/w/g.datasource",
            "build/h.pipe",
            "explorations/i.pipe",
            "playgrounds/j.pipe",
            "other/clickpipe.toml",
            "other/datasources/k.datasource",
        ),
        *(".hidden.pipe", "readme.md", "pipe"),
    )
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path, Path(), tmp_path / "x" / ".."):
        texts, unreadable = read_folder(root)
        assert sorted(texts) == found
        assert unreadable == []


def test_a_file_that_is_no_text_is_reported_and_the_others_read(tmp_path: Path) -> None:
    write(tmp_path, "good.pipe")
    (tmp_path / "bad.pipe").write_bytes(b"NODE n\xff\n")
    project = load_folder(tmp_path)
    assert list(project.pipes) == ["good"]
    assert [(d.code, d.span.file) for d in project.diagnostics] == [("CP2005", "bad.pipe")]


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    (found,) = load_folder(tmp_path).diagnostics
    assert (found.code, "clickpipe init" in found.hint) == ("CP2006", True)


@pytest.mark.parametrize(("data", "text"), [(b"a\r\nb\rc\n", "a\nb\nc\n"), ("é".encode(), "é")])
def test_line_ends_become_lf(data: bytes, text: str) -> None:
    assert decode(data) == text


def test_the_scaffold_compiles(compile_files: Compile) -> None:
    compiled = compile_files(scaffold_files(ci="github"))
    assert compiled.diagnostics == ()
    assert [p.name for p in compiled.endpoints["top_pages"].parameters] == ["since", "country", "limit"]


def test_the_scaffold_keeps_what_is_there(tmp_path: Path) -> None:
    files = scaffold_files()
    assert scaffold(tmp_path, files) == (list(files), [])
    (tmp_path / "clickpipe.toml").write_text("port = 1\n")
    assert scaffold(tmp_path, files) == ([], list(files))
    assert (tmp_path / "clickpipe.toml").read_text() == "port = 1\n"


def test_links_to_datafiles_are_read_and_others_are_not(tmp_path: Path) -> None:
    """A project from elsewhere may link to a key of the host: its text would stand in errors and be deployed."""
    write(tmp_path, "shared/real.datasource", "secret/x.pipe", "project/a.datasource")
    (tmp_path / "secret/key").write_text("canary")
    links = {
        "b.datasource": "../shared/real.datasource",
        "c.datasource": "a.datasource",
        "d.pipe": "../secret/key",
        "e.incl": str(tmp_path / "secret/key"),
        "f.pipe": "d.pipe",  # a link to a link
        "g.datasource": "../secret",
        "h.datasource": "nowhere",
        "i": "../secret",
        "j.pipe": "/dev/zero",
    }
    for name, target in links.items():
        (tmp_path / "project" / name).symlink_to(target)
    texts, unreadable = read_folder(tmp_path / "project")
    assert sorted(texts) == ["a.datasource", "b.datasource", "c.datasource"]
    reason = "the file cannot be read: it is a link to a file that is not a datafile"
    assert [(d.span.file, d.message) for d in unreadable] == [(f, reason) for f in ("d.pipe", "e.incl", "f.pipe")]
    assert [path.name for path in datafile_paths(tmp_path / "project")] == sorted(texts)
