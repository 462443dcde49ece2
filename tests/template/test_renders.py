"""Templates and what they render to: SQL text, bound values, or the error a caller reads.

A case in `renders/*.txt` has `--- template`, `--- values` (JSON, none given when left out), and then
either `--- sql` with `--- params` (JSON), or `--- error` (`--- status` when it is not 400).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clickpipe.diagnostics import ClickpipeError, Span, Word
from clickpipe.template import Binder, TemplateProgram, compile_template
from tests.cases import Case, case_parameters


def program(text: str) -> TemplateProgram:
    found, diagnostics = compile_template(Word(text, Span("p.pipe", 0, len(text))))
    assert found is not None, diagnostics
    return found


@pytest.mark.parametrize("case", case_parameters(Path(__file__).parent / "renders"))
def test_rendering(case: Case) -> None:
    template = program(case["template"].strip("\n"))
    values = json.loads(case.get("values", "{}"))
    if "error" in case.sections:
        with pytest.raises(ClickpipeError) as caught:
            template.bind(**values)
        assert caught.value.message == case["error"].strip()
        assert caught.value.status == int(case.get("status", "400"))
        return
    bound = template.bind(**values)
    assert bound.text.strip() == case["sql"].strip()
    assert bound.params == json.loads(case["params"])
    # What is checked at deployment is what runs.
    assert template.trace(values, Binder()).text == bound.text
