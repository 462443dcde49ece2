"""Where a setting's value comes from, and what is refused."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from clickpipe.config import Settings, load_settings
from clickpipe.diagnostics import ClickpipeError


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("CLICKPIPE_")]:
        monkeypatch.delenv(name)


def test_nothing_set_gives_the_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == load_settings(tmp_path, {"port": None}) == Settings()


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clickpipe.toml").write_text('port = 1\nworkers = 1\nlog_level = "debug"\n')
    monkeypatch.setenv("CLICKPIPE_PORT", "2")
    monkeypatch.setenv("CLICKPIPE_WORKERS", "2")
    found = load_settings(tmp_path, {"port": 3, "workers": None})
    assert (found.port, found.workers, found.log_level) == (3, 2, "debug")


def test_values_get_their_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clickpipe.toml").write_text("deploy_wait_seconds = 2\n")
    monkeypatch.setenv("CLICKPIPE_MAX_BODY_BYTES", "12")
    found = load_settings(tmp_path)
    assert (found.max_body_bytes, found.deploy_wait_seconds) == (12, 2.0)
    assert isinstance(found.deploy_wait_seconds, float)


def test_the_variable_of_the_client_commands_is_not_the_address_to_listen_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLICKPIPE_HOST", "https://example.com")
    assert load_settings(tmp_path).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "'prot' is not a setting: did you mean 'port'?"),
        ("zzz = 1", "'zzz' is not a setting"),
        ('port = "x"', "port must be of type int, not 'x'"),
        ("port = [1]", "port must be of type int, not [1]"),
        ("port = 1.5", "port must be of type int, not 1.5"),
        ("port = true", "port must be of type int, not True"),
        ("host = 1", "host must be of type str, not 1"),
        ("[host]", "host must be of type str, not {}"),
        ('deploy_wait_seconds = "soon"', "deploy_wait_seconds must be of type float, not 'soon'"),
        ("port =", "Invalid value"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "clickpipe.toml"
    path.write_text(text)
    with pytest.raises(ClickpipeError) as caught:
        load_settings(tmp_path)
    assert caught.value.message.startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"broken_branches": "maybe"}, "broken_branches must be error or warning, not 'maybe'"),
        ({"enum_values": "warning"}, "enum_values must be error or ignore, not 'warning'"),
        ({"copy_sources": "s3, file"}, "copy_sources contains 'file', but only azureblobstorage, deltalake,"),
    ],
)
def test_a_value_that_is_no_choice_is_told_with_the_choices(
    tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(ClickpipeError) as caught:
        load_settings(tmp_path, settings)
    assert caught.value.message.startswith(message)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "clickpipe.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ClickpipeError, match=r"clickpipe\.toml"):
        load_settings(tmp_path)


def test_a_mistake_in_the_environment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKPIPE_PORT", "high")
    with pytest.raises(ClickpipeError) as caught:
        load_settings(tmp_path)
    assert caught.value.message == "CLICKPIPE_PORT: port must be of type int, not 'high'"


@pytest.mark.parametrize("name", [f.name for f in fields(Settings) if type(f.default) in {int, float}])
def test_no_number_is_negative(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CLICKPIPE_{name.upper()}", "-3")
    with pytest.raises(ClickpipeError, match=f"{name} must be 0 or more, not -3"):
        load_settings(tmp_path)
