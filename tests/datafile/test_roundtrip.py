"""Datafiles made from a syntax tree, printed in many styles, read back: the same tree."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings, strategies as st

from clickpipe.datafile import DataSourceFile, PipeFile, parse_datafile

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
ODD_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9 .\-/$]{0,8}[a-z]", fullmatch=True)
SIMPLE = st.sampled_from(
    ["String", "UInt64", "DateTime64(3, 'UTC')", "Enum8('a, b' = 1, 'c' = -2)", "Decimal(18, 4)", "Bool"]
)
TYPES = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        inner.map("Array({})".format),
        inner.map("Nullable({})".format),
        st.tuples(inner, inner).map(lambda t: f"Tuple(x {t[0]}, `y z` {t[1]})"),
        inner.map("Map(String, {})".format),
        inner.map("AggregateFunction(quantiles(0.5, 0.9), {})".format),
    ),
    max_leaves=4,
)
PATHS = st.sampled_from(["$.a", "$.a.b", "$.a[:]", "$.a[:].b", "$", "$.['odd key']", "$.a[:].b[:]"])
DEFAULTS = st.sampled_from(
    ["''", "0", "now()", "[]", "'it\\'s -- # here'", "toDate('2020-01-01')", "-1.5", "map('a', 1)"]
)
CODECS = st.sampled_from(["CODEC(ZSTD(3))", "CODEC(Delta(4), LZ4)"])
VALUES = st.from_regex(r"[a-z][a-z0-9_(),. +@/:*=-]{0,20}[a-z0-9)]", fullmatch=True)
PROSE = st.from_regex(r"[A-Z][a-z ,.#'\"]{0,30}[a-z.]", fullmatch=True)
SQL = st.sampled_from(
    [
        "SELECT 1",
        "%\nSELECT {{Int32(n, 1)}} -- last",
        "SELECT *\n\nFROM events # no comment\n  WHERE a = 'x; # y'",
        "WITH\n\tx AS (SELECT 1)\nSELECT * FROM x",
    ]
)


@dataclass(frozen=True)
class Column:
    name: str
    quoted: bool
    type: str
    path: str | None
    default: str | None
    codec: str | None


COLUMNS = st.lists(
    st.one_of(
        st.builds(Column, NAMES, st.booleans(), TYPES, PATHS | st.none(), DEFAULTS | st.none(), CODECS | st.none()),
        st.builds(Column, ODD_NAMES, st.just(value=True), TYPES, PATHS | st.none(), st.none(), st.none()),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda c: c.name,
)
ENGINE_LINES = st.dictionaries(
    st.sampled_from(["ENGINE", "ENGINE_SORTING_KEY", "ENGINE_TTL", "ENGINE_SETTINGS", "KAFKA_TOPIC", "TAGS"]),
    VALUES,
    max_size=5,
)


@dataclass(frozen=True)
class Style:
    """How a tree is printed."""

    upper: bool
    indent: str
    quote: str
    default_first: bool
    comments: bool
    final_newline: bool

    def word(self, directive: str) -> str:
        return directive if self.upper else directive.lower()

    def value(self, text: str) -> str:
        return f"{self.quote}{text}{self.quote}" if self.quote and self.quote not in text else text

    def block(self, directive: str, text: str) -> list[str]:
        return [f"{self.word(directive)} >", *(self.indent + line if line else "" for line in text.split("\n"))]

    def line(self, directive: str, text: str) -> list[str]:
        note = ["# a comment", ""] if self.comments else []
        return [*note, f"{self.word(directive)} {self.value(text)}" + ("  # more" if self.comments else "")]

    def column(self, column: Column) -> str:
        name = f"`{column.name}`" if column.quoted else column.name
        path = f"`json:{column.path}`" if column.path else ""
        default = f"DEFAULT {column.default}" if column.default else ""
        values = (default, path) if self.default_first else (path, default)
        return " ".join(part for part in (name, column.type, *values, column.codec or "") if part)

    def text(self, lines: list[str]) -> str:
        return "\n".join(lines) + ("\n" if self.final_newline else "")


STYLES = st.builds(
    Style,
    st.booleans(),
    st.sampled_from(["    ", "\t", "  "]),
    st.sampled_from(['"', "'", ""]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


def values(tree: DataSourceFile | PipeFile, *left_out: str) -> dict[str, str]:
    return {s.directive: s.argument.text for s in tree.statements if s.directive not in left_out}


@settings(max_examples=300)
@given(
    COLUMNS, ENGINE_LINES, PROSE, st.lists(st.tuples(NAMES, st.sampled_from(["READ", "APPEND"])), max_size=2), STYLES
)
def test_data_sources(
    columns: list[Column], lines: dict[str, str], prose: str, tokens: list[tuple[str, str]], style: Style
) -> None:
    printed = style.block("DESCRIPTION", prose)
    printed += [f'{style.word("TOKEN")} "{name}" {right}' for name, right in tokens]
    comma = ", -- note\n" if style.comments else ",\n"
    printed += style.block("SCHEMA", comma.join(style.column(c) for c in columns))
    for directive, value in lines.items():
        printed += style.line(directive, value)
    tree, diagnostics = parse_datafile("e.datasource", style.text(printed))
    assert diagnostics == []
    assert isinstance(tree, DataSourceFile)
    assert tree.columns is not None
    found = [
        Column(
            c.name.text,
            given.quoted,
            c.type.text if c.type else "",
            c.jsonpath.text if c.jsonpath else None,
            c.default.text if c.default else None,
            c.codec.text if c.codec else None,
        )
        for c, given in zip(tree.columns, columns, strict=True)
    ]
    assert found == columns
    assert values(tree, "SCHEMA", "TOKEN", "DESCRIPTION") == lines
    assert [tuple(w.text for w in s.words) for s in tree.statements if s.directive == "TOKEN"] == tokens
    assert next(s.argument.text.strip() for s in tree.statements if s.directive == "DESCRIPTION") == prose.strip()


@settings(max_examples=200)
@given(st.lists(st.tuples(NAMES, SQL, PROSE), min_size=1, max_size=4), STYLES)
def test_pipes(nodes: list[tuple[str, str, str]], style: Style) -> None:
    printed: list[str] = []
    for name, sql, prose in nodes:
        printed += [f"{style.word('NODE')} {name}", *style.block("DESCRIPTION", prose), *style.block("SQL", sql), ""]
    printed += [f"{style.word('TYPE')} endpoint"]
    tree, diagnostics = parse_datafile("e.pipe", style.text(printed))
    assert diagnostics == []
    assert isinstance(tree, PipeFile)
    assert [n.name.text for n in tree.nodes] == [name for name, _, _ in nodes]
    for node, (_, sql, _) in zip(tree.nodes, nodes, strict=True):
        block = next(s.block for s in node.statements if s.directive == "SQL")
        assert block is not None
        lines = [line.removeprefix(style.indent) for line in block.text.rstrip("\n ").split("\n")]
        assert lines == sql.split("\n")
    assert values(PipeFile("", "", tree.nodes[-1].statements, ()))["TYPE"] == "endpoint"
