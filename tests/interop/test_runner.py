"""`make interop` without its clients: what counts as failed, and what is left out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.serving import Server
from interop.__main__ import Outcome, _run, main
from interop.clients import CLIENTS, Client
from interop.environments import Environments, NotInstalled, Unreachable

PLAIN = Client("plain", "python", ("nothing",), "nothing.py", seconds=20)
SERVER = Server("http://127.0.0.1:9", "token", 0)


def outcome_of(tmp_path: Path, script: str) -> Outcome:
    path = tmp_path / "check.py"
    path.write_text(script)
    outcome = Outcome(PLAIN)
    _run(outcome, [sys.executable, str(path)], tmp_path, SERVER)
    return outcome


@pytest.mark.parametrize(
    ("script", "failed"),
    [
        ("print('ok one')", False),
        ("print('ok one'); print('fault two: its own')", False),
        ("print('ok one'); print('FAIL two: no')", True),
        ("print('ok one'); raise SystemExit(1)", True),
        ("import nothing_like_it", True),
        ("print('fault one: its own')", True),  # nothing worked
        ("", True),
    ],
)
def test_what_counts_as_failed(tmp_path: Path, script: str, failed: bool) -> None:  # noqa: FBT001 - a table's column
    outcome = outcome_of(tmp_path, script)
    assert outcome.failed is failed
    assert not failed or any(line.startswith(("FAIL", "fault")) for line in outcome.lines)


def test_a_script_knows_the_server_and_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TB_TOKEN", "mine")
    outcome = outcome_of(tmp_path, "import os; print('ok', os.environ['URL'], os.environ.get('TB_TOKEN'))")
    assert outcome.lines == ["ok http://127.0.0.1:9 None"]


def test_without_a_registry_clients_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environments = Environments(tmp_path)
    monkeypatch.setattr(environments, "_can_reach", lambda _kind: False)
    with pytest.raises(Unreachable, match="not reachable"):
        environments.command(PLAIN)
    with pytest.raises(Unreachable, match="no-such-program"):
        environments.command(Client("plain", "python", (), "nothing.py", programs=("no-such-program",)))


def test_with_a_registry_what_cannot_be_installed_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environments = Environments(tmp_path)
    monkeypatch.setattr(environments, "_can_reach", lambda _kind: True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(NotInstalled):
        environments.command(PLAIN)


def test_unknown_clients_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "there are: tb, " in capsys.readouterr().err


def test_the_one_that_tells_its_vendor_is_not_among_them() -> None:
    assert not [client for client in CLIENTS if "mcp" in " ".join(client.packages)]
