from __future__ import annotations

from clickpipe.datafile import parse_datafile


def test_includes_that_include_ever_more_end() -> None:
    texts = {f"i{n}.incl": f"INCLUDE i{n + 1}.incl\n" * 3 for n in range(30)} | {"i30.incl": "TAGS x\n"}
    _, diagnostics = parse_datafile("a.datasource", "INCLUDE i0.incl\n", texts)
    assert {d.message for d in diagnostics} <= {
        "more than 500 includes in one file",
        "TAGS is given twice: the last one is used",
    }
    assert len([d for d in diagnostics if d.code == "CP1012"]) < 1000
