"""`pause` and `resume`, for copies and sinks."""

from __future__ import annotations

from urllib.parse import quote

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.output import say


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
