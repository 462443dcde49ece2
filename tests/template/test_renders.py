"""Templates and what they render to: SQL text, bound values, or the error a caller reads.

A case in `renders/*.txt` has `--- template`, `--- values` (JSON, none given when left out), and then
either `--- sql` with `--- params` (JSON), (and `--- settings`), or `--- error` (`--- status` when it is not 400).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clickpipe.diagnostics import ClickpipeError, Span, Word
from clickpipe.template import Binder, TemplateError, TemplateProgram, compile_template
from clickpipe.template.functions import FUNCTIONS, TYPED_CALLS
from clickpipe.template.names import NameSet
from tests.cases import Case, case_parameters


def program(text: str) -> TemplateProgram:
    found, diagnostics = compile_template(Word(text, Span("p.pipe", 0, len(text))))
    assert found is not None, diagnostics
    return found


def binder() -> Binder:
    return Binder(NameSet({"a", "b", "user_id"}, {"events", "top"}), {"key": "s3cret"}.get)


def test_a_value_outside_of_enum_is_taken_where_the_settings_say_so() -> None:
    template = program("%\nSELECT {{String(way, 'asc', enum=['asc', 'desc'])}}")
    loose = Binder(NameSet(any_enum=True))
    template.render({"way": "sideways"}, loose)
    assert loose.params == {"way": "sideways"}
    with pytest.raises(TemplateError, match="'sideways' is not one of the allowed values: asc, desc"):
        template.render({"way": "sideways"}, binder())


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - TYPED_CALLS.keys()))
def test_a_parameter_may_be_called_like_a_function(name: str) -> None:
    """`max`, `list` or `error` as a name is the parameter's, not the function that can be called."""
    template = program(
        f"%\nSELECT {{{{String({name}, 'none')}}}}, {{{{max(1, 2)}}}}{{% if defined({name}) %}}, 1{{% end %}}"
    )
    for given, second in (({}, ""), ({name: "x"}, ", 1")):
        found = binder()
        text = template.render(given, found)
        assert text.strip() == f"SELECT {{{name}:String}}, {{value:Int64}}{second}"
        assert found.params == {name: given.get(name, "none"), "value": 2}
    for use in (f"{{{{{name}}}}}", f"{{{{String({name})}}}}", f"'{{{{{name}}}}}'"):
        with pytest.raises(ClickpipeError, match=name):
            program(f"%\nSELECT {use}").render({}, binder())


@pytest.mark.parametrize("case", case_parameters(Path(__file__).parent / "renders"))
def test_rendering(case: Case) -> None:
    template = program(case["template"].strip("\n"))
    values = json.loads(case.get("values", "{}"))
    if "error" in case.sections:
        with pytest.raises(ClickpipeError) as caught:
            template.render(values, binder())
        assert caught.value.message == case["error"].strip()
        assert caught.value.status == int(case.get("status", "400"))
        return
    for _ in range(2):  # the second time by what was noted of the first
        found = binder()
        text = template.render(values, found)
        assert text.strip() == case["sql"].strip()
        assert found.params == json.loads(case["params"])
        assert found.settings == json.loads(case.get("settings", "{}"))
        assert template.trace(values, binder()).text == text  # what is checked at deployment is what runs
