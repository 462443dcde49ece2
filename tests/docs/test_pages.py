"""The pages in docs/ against the code they describe."""

from __future__ import annotations

import dataclasses
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

from clickpipe.config import Settings
from clickpipe.datafile.directives import DIRECTIVES
from clickpipe.diagnostics import CODES, render_text
from clickpipe.server.app import ROUTES
from clickpipe.template.functions import FUNCTIONS
from interop.clients import CLIENTS
from tests.conftest import ROOT, Compile

DOCS = ROOT / "docs"
_FILE = re.compile(r"`([\w./-]+)`\n\n```\n(.*?)```\n", re.DOTALL)
_OUTPUT = re.compile(r"```text\n(.*?)\n```\n", re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def sections() -> dict[str, tuple[str, str]]:
    """The sections of docs/diagnostics.md: code -> (title, text)."""
    parts = re.split(r"^## (CP\d+): (.*)$", page("diagnostics.md"), flags=re.MULTILINE)[1:]
    return {code: (title, text) for code, title, text in zip(*[iter(parts)] * 3, strict=True)}


def test_every_diagnostic_has_its_section() -> None:
    assert {code: title for code, (title, _) in sections().items()} == {c: i.title for c, i in CODES.items()}


@pytest.mark.parametrize("code", [code for code, (_, text) in sections().items() if "```text" in text])
def test_the_example_of_a_diagnostic_gives_what_stands_under_it(code: str, compile_files: Compile) -> None:
    text = sections()[code][1]
    compiled = compile_files(dict(_FILE.findall(text)))
    expected = _OUTPUT.search(text)
    assert expected is not None
    assert render_text(compiled.diagnostics, compiled.project.sources) == expected[1]
    unserved = {"CP1014"} if code != "CP1014" else set()  # at each line of a connector
    assert {d.code for d in compiled.diagnostics} - unserved == {code}


def test_settings_are_listed_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page("settings.md"), flags=re.MULTILINE)
    defaults = {f.name: str(f.default) for f in dataclasses.fields(Settings)}
    assert {name: default.strip("`").replace("none", "") for name, default in rows} == defaults


def test_every_route_is_described() -> None:
    text = page("http-api.md")
    for method, path, _ in ROUTES:
        shown = re.sub(r"\{(\w+)(?::\w+)?\}", r"<\1>", path).replace(".<format>", ".json")
        assert re.search(rf"`{method} {re.escape(shown)}[`?]", text), f"{method} {shown}"


def test_every_directive_and_function_is_described() -> None:
    datafiles, templates = page("datafiles.md"), page("templates.md")
    directives = {d.name for table in DIRECTIVES.values() for d in table.values()}
    assert [d for d in directives if f"`{d}" not in datafiles and f"{d} " not in datafiles] == []
    sized = re.compile(r"U?Int\d+$")  # described as a range
    assert [f for f in FUNCTIONS if not sized.match(f) and f"`{f}" not in templates] == []


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["test"], *groups["lint"]]
    text = page("dependencies.md")
    for requirement in wanted:
        name = re.split(r"[<>=;]", requirement)[0].strip()
        assert re.search(rf"^\| .*{re.escape(name)}", text, flags=re.MULTILINE), name


def test_every_room_is_in_the_picture() -> None:
    rooms = {p.parent.name for p in (ROOT / "clickpipe").glob("*/__init__.py")}
    picture = page("architecture.md").split("## Who may import whom")[0]
    described = set(re.findall(r"^\| `(\w+)` \|", picture, flags=re.MULTILINE))
    assert described == rooms


@pytest.mark.parametrize("path", [*DOCS.glob("*.md"), *ROOT.glob("*.md")], ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_every_client_of_interop_has_its_line_and_page() -> None:
    rows = re.findall(r"^\| \[(.+?)\]\((clients/.+?\.md)\)", page("compatibility.md"), flags=re.MULTILINE)
    names = {"cube": "Cube", "duckdb": "DuckDB"}
    assert {name for name, _ in rows} == {names.get(client.name, client.name) for client in CLIENTS}
    assert {f"clients/{path.name}" for path in (DOCS / "clients").glob("*.md")} == {path for _, path in rows}
    for client in CLIENTS:
        assert (ROOT / "interop" / "checks" / client.script).is_file()


def test_what_the_pages_name_of_the_package_is_there() -> None:
    pages = [DOCS / "architecture.md", *sorted((DOCS / "decisions").glob("*.md"))]
    named = {
        name for path in pages for name in re.findall(r"`([\w/]+\.(?:py|md|txt))`", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    rooms = {path.name for path in (ROOT / "clickpipe").iterdir() if path.is_dir()}
    lost = [
        name
        for name in sorted(named)
        if not (ROOT / (f"clickpipe/{name}" if name.split("/")[0] in rooms else name)).exists() and "/" in name
    ]
    assert lost == []


def test_the_paths_of_the_architecture_are_those_of_the_code() -> None:
    paths = page("architecture.md").partition("\n## Three paths\n")[2]
    pictures = re.findall(r"```mermaid\n(.*?)```", paths, flags=re.DOTALL)
    assert len(pictures) == 3
    for picture in pictures:
        steps = re.findall(r'\["([\w.]+)"\]|\[\("([\w.]+)"\)\]', picture)
        assert 5 < len(steps) < 10
        for step in steps:
            assert callable(pkgutil.resolve_name("clickpipe." + "".join(step)))


def test_decisions_are_listed_and_few() -> None:
    folder = DOCS / "decisions"
    records = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("[0-9]*.md")}
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert index.count("](") == len(records) <= 10
    for name, text in records.items():
        assert f"[{text.splitlines()[0].removeprefix('# ')}]({name})" in index


def test_the_changelog_has_each_heading_once() -> None:
    """A merge that kept both sides of a conflict once left every section there twice."""
    for release in re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        headings = re.findall(r"^###+ .*$", release, flags=re.MULTILINE)
        assert len(headings) == len(set(headings)), release.splitlines()[0]
