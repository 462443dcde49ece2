"""What copies and sinks share: `pause` and `resume`, and their last runs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from clickpipe.cli.client import Client, connect, server_options
from clickpipe.cli.output import say


def last_runs(client: Client, kind: str) -> dict[str, dict[str, Any]]:
    """Return the newest job of each pipe, by its name; `kind` is copy or sink."""
    last: dict[str, dict[str, Any]] = {}
    for one in client.get("/v0/jobs", ("kind", kind))["jobs"]:
        last.setdefault(one["resource"], one)
    return last


def told(run: dict[str, Any] | None) -> str:
    """Return how a run ended, and when it began; '' if there was none."""
    return f"{run['status']}, {run['created_at'][:19]}" if run else ""


def add_pause_and_resume(group: click.Group, kind: str) -> None:
    """Add the commands to a group; `kind` is copy or sink, as in the routes."""

    @group.command("pause", help=f"Pause a schedule: no run starts until it is resumed. `{kind} run` still works.")
    @click.argument("pipe")
    @server_options
    def pause(host: str | None, token: str | None, *, pipe: str) -> None:
        connect(host, token).request("POST", f"/v0/pipes/{quote(pipe, safe='')}/{kind}/pause")
        say(f"{pipe} is paused")

    @group.command("resume", help="Resume a schedule. Missed runs are not made up.")
    @click.argument("pipe")
    @server_options
    def resume(host: str | None, token: str | None, *, pipe: str) -> None:
        connect(host, token).request("POST", f"/v0/pipes/{quote(pipe, safe='')}/{kind}/resume")
        say(f"{pipe} runs on its schedule again")
