"""`clickpipe serve`: an engine that waits for deployments."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clickpipe import __version__
from clickpipe.cli.output import plural, progress, say
from clickpipe.diagnostics import ClickpipeError

if TYPE_CHECKING:
    from clickpipe.config import Settings
    from clickpipe.engine import Engine
    from clickpipe.runtime import Instance

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_LONG_TOKEN = 32  # characters


def listening_options(function: click.decorators.FC) -> click.decorators.FC:
    """Add --data-dir, --host and --port to a command."""
    folder = click.option("--data-dir", metavar="FOLDER", help="Where data is stored. Default: .clickpipe")
    host = click.option("--host", metavar="ADDRESS", help="The address to listen on. Default: 127.0.0.1")
    port = click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 uses a free one. Default: 7181")
    return folder(host(port(function)))


@click.command(short_help="Run a server for deployments.")
@listening_options
def serve(data_dir: str | None, host: str | None, port: int | None) -> None:
    """Run a server without a project. It serves what you deploy to it with `clickpipe deploy`.

    CLICKPIPE_ADMIN_TOKEN sets the admin token; without it, one is generated and printed once. Ctrl-C or
    SIGTERM stops the server, within 25 seconds (the setting stop_seconds).
    """
    from clickpipe.config import load_settings
    from clickpipe.server import StopLimit, listening, restart, run

    settings = load_settings(flags={"data_dir": data_dir, "host": host, "port": port})
    require_long_token(settings)
    with (
        StopLimit(settings.stop_seconds, restarts=True) as limit,
        listening(settings) as listeners,
        open_instance(Path(settings.data_dir), settings) as instance,
    ):

        def ready(url: str) -> None:
            announce(instance, url)
            click.echo(f"clickpipe {__version__} serves {instance.data_dir} on {url} (Ctrl-C stops it)")
            click.echo(f"The default workspace has the id {instance.default.id}: JWTs name it as workspace_id.")
            if instance.is_new and not settings.admin_token:
                click.echo(f"The admin token (shown only once): {instance.admin_token().value}")
            if settings.host not in _LOOPBACK and not settings.tls_certificate and not settings.trusted_proxies:
                say("Other machines can reach it over plain HTTP: put a TLS proxy in front of it.")

        again = run(instance, listeners, limit, ready=ready)
        engine = instance.engine
    if again:
        restart()
    end_with(engine)


def end_with(engine: Engine) -> None:
    """End the process at once where a statement goes on that nothing ends: it would be waited for."""
    from clickpipe.server import leave

    if engine.stuck():
        leave()


def require_long_token(settings: Settings) -> None:
    """Raise ClickpipeError for an admin token that others could guess: it signs JWTs, by which it can be tried."""
    if settings.admin_token and len(settings.admin_token) < _LONG_TOKEN and settings.host not in _LOOPBACK:
        message = (
            f"admin_token has {len(settings.admin_token)} characters: where other machines reach the server it has at "
            f"least {_LONG_TOKEN}. Make one with `openssl rand -hex 32`, or leave it out and one will be generated."
        )
        raise ClickpipeError(message, code="bad_settings")


def announce(instance: Instance, url: str) -> None:
    """Let commands on this machine find the server by its data folder."""
    from clickpipe.config import ServerAddress, publish_address

    publish_address(instance.data_dir, ServerAddress(url, instance.admin_token().value), instance.cipher)


@contextmanager
def open_instance(data_dir: Path, settings: Settings) -> Iterator[Instance]:
    """Open a data folder, telling what takes long; close it cleanly afterwards."""
    from clickpipe.config import withdraw_address
    from clickpipe.runtime import Instance

    os.umask(0o077)  # what is written is for this user alone, whatever the shell's is
    with progress() as tell:
        tell(f"opening {data_dir}")
        instance = Instance(data_dir, settings)
    if instance.recovered_segments:
        say(f"{plural(instance.recovered_segments, 'segment')} of events from before the last stop inserted")
    try:
        yield instance
    finally:
        withdraw_address(data_dir)
        with progress() as tell:
            tell("stopping: writing pending events")
            instance.close()
        say(f"stopped; the data is in {data_dir}")
