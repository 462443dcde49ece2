"""The sandbox: a corpus of attacks, each refused quickly, with a diagnostic or an error that a caller may read."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from clickpipe.diagnostics import ClickpipeError, Span, Word
from clickpipe.template import Binder, compile_template
from tests.cases import Case, case_parameters

HANGS = 5  # seconds: each takes some hundredths


@pytest.mark.parametrize("case", case_parameters(Path(__file__).parent / "attacks"))
def test_an_attack_is_refused(case: Case) -> None:
    text = case["template"].strip("\n")
    said: list[str] = []

    def attack() -> None:
        program, diagnostics = compile_template(Word(text, Span("p.pipe", 0, len(text))))
        if program is None:
            said.extend(d.message for d in diagnostics)
            return
        assert program.samples() is not None  # as `check` looks for its branches
        with pytest.raises(ClickpipeError) as caught:
            program.render({"x": "abc"}, Binder())
        said.extend([caught.value.message] * (caught.value.status == 400))

    worker = threading.Thread(target=attack, daemon=True)
    worker.start()
    worker.join(HANGS)
    assert not worker.is_alive(), "it hangs"
    assert said, "it was rendered, or raised something else than an error for the caller"
    assert sum(map(len, said)) < 10_000, "the message is long"
