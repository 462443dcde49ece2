"""`clickpipe dev`: serve the project in a folder, and deploy it again whenever a file is saved."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clickpipe import __version__
from clickpipe.cli.curl import Curl
from clickpipe.cli.output import fail, plural, print_diagnostics, progress, say, style
from clickpipe.cli.project import project_folder
from clickpipe.cli.serve import announce, end_with, listening_options, open_instance
from clickpipe.diagnostics import Sources

if TYPE_CHECKING:
    from clickpipe.catalog import Live
    from clickpipe.project import DataSource
    from clickpipe.runtime import FolderDeployment, Instance

_SHOWN_NAMES = 12
_NO_DATAFILES = "CP2006"  # how a new project begins: no mistake here


@click.command(short_help="Serve the project; redeploy on save.")
@project_folder
@listening_options
@click.option(
    "--fixtures/--no-fixtures", default=True, help="Load fixtures/<data source>.ndjson into empty data sources."
)
@click.option("--watch/--no-watch", default=True, help="Redeploy when a datafile is saved.")
@click.option(
    "--with-connections",
    "connections",
    is_flag=True,
    help="Read Kafka topics and buckets, and run sinks on schedule. Without it, that is left to another server.",
)
@click.option(
    "--allow-destructive-operations",
    "destructive",
    is_flag=True,
    help="Let saves lose values and rows: of columns and data sources that are no longer in the files.",
)
def dev(
    folder: Path,
    data_dir: str | None,
    host: str | None,
    port: int | None,
    *,
    fixtures: bool,
    watch: bool,
    connections: bool,
    destructive: bool,
) -> None:
    """Serve the project in FOLDER (here by default), with its fixtures, and redeploy when a file is saved.

    Data stays in the project's .clickpipe folder between runs. If there is a mistake, its line is shown and the
    previous deployment keeps answering. Ctrl-C stops the server.
    """
    from clickpipe.config import load_settings
    from clickpipe.server import StopLimit, listening, run

    off = None if connections else "off"  # a reader would take messages from the server that shares its group
    flags = {"data_dir": data_dir, "host": host, "port": port, "kafka": off, "buckets": off, "sinks": off}
    settings = load_settings(folder, flags=flags)
    place = Path(settings.data_dir) if data_dir else folder / settings.data_dir
    stop = threading.Event()
    with (
        StopLimit(settings.stop_seconds) as limit,
        listening(settings) as listeners,
        open_instance(place, settings) as instance,
    ):
        seen = _start(instance, folder, fixtures=fixtures, destructive=destructive)

        def ready(url: str) -> None:
            announce(instance, url)
            _greet(instance, folder, url)
            if watch:
                watcher = threading.Thread(
                    target=_watch,
                    args=(instance, folder, url, seen, stop),
                    kwargs={"destructive": destructive},
                    name="watch",
                )
                watchers.append(watcher)
                watcher.start()

        watchers: list[threading.Thread] = []
        try:
            if run(instance, listeners, limit, ready=ready):
                say("stopped: ClickHouse does not end a statement; start it again")
        finally:
            stop.set()
            for watcher in watchers:
                watcher.join()
        engine = instance.engine
    end_with(engine)


def _start(instance: Instance, folder: Path, *, fixtures: bool, destructive: bool) -> Sources:
    """Deploy the folder and load its fixtures; return the texts that were deployed."""
    from clickpipe.runtime import deploy_folder, load_fixtures

    with progress() as tell:
        tell("checking and deploying the project")
        found = deploy_folder(instance.default, folder, allow_destructive=destructive, progress=tell.detail)
    _report(found)
    if not fixtures or instance.default.live is None:
        return found.sources
    with progress() as tell:
        loaded = load_fixtures(instance.default, folder, tell, carry_on=True)
    for one in loaded:
        good, bad = one.result.successful_rows, one.result.quarantined_rows
        if one.problem and not good + bad:
            fail(f"{one.file} is not loaded into {one.data_source}: {one.problem}")
            continue
        told = f", {bad} to quarantine ({one.problem})" if bad else ""
        click.echo(f"loaded {one.file} into {one.data_source}: {plural(good, 'row')}{told}")
    return found.sources


def _report(found: FolderDeployment) -> None:
    """Print what a deployment changed, or why there was none."""
    if [d.code for d in found.diagnostics] == [_NO_DATAFILES]:
        return
    if found.diagnostics:
        print_diagnostics(found.diagnostics, found.sources)
    if found.refusal:
        fail(found.refusal)
    if found.plan is None:
        click.echo(style("not deployed; the previous deployment keeps answering", fg="red"))
        return
    for remark in found.plan.warnings:
        click.echo(f"{style('warning', fg='yellow', bold=True)}: {remark.resource}: {remark.message}")
    if found.plan.is_empty:
        click.echo("no changes: the project is already deployed")
        return
    names = [
        f"{mark}{name}"
        for mark, which in (("+", "new"), ("~", "changed"), ("-", "deleted"))
        for changes in (found.plan.data_sources, found.plan.pipes, found.plan.connections)
        for name in getattr(changes, which)
    ]
    names += [f"~{name}" for name in found.plan.other_files]
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    shown = ", ".join(names[:_SHOWN_NAMES]) + more
    click.echo(f"{style('deployed', fg='green')} in {found.seconds:.2f} s: {shown}")


def _watch(
    instance: Instance, folder: Path, url: str, seen: Sources, stop: threading.Event, *, destructive: bool
) -> None:
    from clickpipe.engine import EngineError
    from clickpipe.runtime import deploy_folder, fixture_path, watch_folder

    curl = Curl(url, instance.admin_token().value)
    for _ in watch_folder(folder, stop, seen.texts):
        try:
            found = deploy_folder(instance.default, folder, allow_destructive=destructive)
        except EngineError as error:
            fail(f"the deployment failed: {error.message}")
            continue
        _report(found)
        if found.plan is None or instance.default.live is None:
            continue
        live = instance.default.live
        new = [n for n in found.plan.data_sources.new if n in live.ingestible() and n not in _filled(live)]
        endpoints = [n for n in (*found.plan.pipes.new, *found.plan.pipes.changed) if n in live.compiled.endpoints]
        for name in new:
            click.echo(f"  {curl.event(live.compiled.data_sources[name], fixture_path(folder, name))}")
        for name in endpoints:
            click.echo(f"  {curl.endpoint(live.compiled.endpoints[name])}")


def _greet(instance: Instance, folder: Path, url: str) -> None:
    """Print what is served, and lines to paste."""
    head = style(f"clickpipe {__version__}", bold=True)
    click.echo(f"\n{head} serves {folder.resolve().name} on {style(url, bold=True)}")
    click.echo(f"Its workspace has the id {instance.default.id}; JWTs name it as workspace_id.")
    click.echo("Save a datafile to deploy it. Ctrl-C stops the server; the data stays.")
    live = instance.default.live
    if live is None or not live.compiled.data_sources:
        click.echo("\nThere is no data source yet: add datasources/<name>.datasource (see docs/datafiles.md).")
        return
    from clickpipe.runtime import fixture_path

    curl = Curl(url, instance.admin_token().value)
    _section("Data sources", _counts(instance, live))
    _section("Endpoints", [curl.endpoint(function) for function in live.compiled.endpoints.values()])
    if live.ingestible():
        source = _to_show(live, folder)
        _section("Send an event", [curl.event(source, fixture_path(folder, source.name))])
    _section("Run a copy", [curl.copy(name) for name in live.compiled.copies])
    click.echo()


def _section(title: str, lines: list[str]) -> None:
    if lines:
        click.echo(f"\n{style(title, bold=True)}")
        for line in lines:
            click.echo(f"  {line}")


def _counts(instance: Instance, live: Live) -> list[str]:
    counts = instance.default.row_counts()
    lines = []
    for name in live.compiled.data_sources:
        bad = counts[f"{name}_quarantine"][0]
        lines.append(f"{name}: {plural(counts[name][0], 'row')}" + (f", {bad:,} in quarantine" if bad else ""))
    return lines


def _to_show(live: Live, folder: Path) -> DataSource:
    """Return the data source to show: one with a fixture, else one that no view or copy fills."""
    from clickpipe.runtime import fixture_path

    names = sorted(live.ingestible(), key=lambda n: (not fixture_path(folder, n).is_file(), n in _filled(live)))
    return live.compiled.data_sources[names[0]]


def _filled(live: Live) -> set[str]:
    """Return the data sources that a view or a copy fills."""
    return {v.target for v in live.compiled.views.values()} | {c.target for c in live.compiled.copies.values()}
