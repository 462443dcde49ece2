from __future__ import annotations

import pytest

from clickpipe.project import read_folder
from tests.conftest import ROOT
from tests.datafile.fuzz import run


@pytest.mark.slow
def test_mutated_files_end_with_diagnostics() -> None:
    run(3_000, read_folder(ROOT)[0])
