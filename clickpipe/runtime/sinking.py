"""Runs a workspace's sinks, on schedule or on demand: rows to a topic, or to files in a bucket and a manifest."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from clickpipe.catalog import Job
from clickpipe.compiler import SinkPipe
from clickpipe.concurrency import Turns
from clickpipe.connect import Manifests, Outgoing, Sink, TopicSink, require_sink, sink_of
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError
from clickpipe.jobs import Report, Work, bind, export, hiding_secrets
from clickpipe.observe import SinkLog
from clickpipe.project import FileNames, file_key
from clickpipe.query import shown_error
from clickpipe.runtime.schedules import set_paused
from clickpipe.runtime.sending import send_rows
from clickpipe.runtime.services import Services
from clickpipe.runtime.tables import LiveTables
from clickpipe.template import BoundSQL

_MODES = {"append": False, "replace": True}


class Sinks:
    """The sinks of one workspace. Methods may be called from any thread."""

    def __init__(self, services: Services, tables: LiveTables) -> None:
        """Run sinks of the deployment that has `tables`."""
        self._services = services
        self._tables = tables
        self._id = tables.workspace
        self._log = SinkLog(services.service_log, services.registry)
        self._turns = Turns()

    def start(self, name: str, values: Mapping[str, Any], mode: str | None = None) -> Job:
        """Start a sink as a job; `mode` is append or replace if not as its datafile says.

        Raises ClickpipeError: 404 if there is no such sink, 400 if it cannot run.
        """
        if mode is not None and mode not in _MODES:
            message = f"The mode of a sink is append or replace, not '{mode}'"
            raise ClickpipeError(message, code="bad_mode")
        if isinstance(self._sink(name), TopicSink) and mode == "replace":
            message = f"The sink '{name}' sends to a topic: rows there cannot be replaced"
            raise ClickpipeError(message, code="bad_mode")
        parameters = {"values": dict(values), "mode": mode}
        return self._services.jobs.submit(self._id, "sink", name, self.work(name, values, mode), parameters)

    def work(
        self, name: str, values: Mapping[str, Any], mode: str | None, before: Mapping[str, Any] | None = None
    ) -> Work:
        """Return the work of a sink's job; `before` is what it had reported before a restart."""
        return partial(self._run, name, values, mode, before)

    def start_due(self, name: str) -> Job | None:
        """Start a sink that is due, unless schedules are off, its own is paused, or its last run still goes on."""
        off = self._services.settings.sinks == "off" or name in self._services.catalog.paused(self._id)
        return None if off or self._services.jobs.is_running(self._id, "sink", name) else self.start(name, {})

    def pause(self, name: str, *, paused: bool) -> None:
        """Pause or resume a sink's schedule. Raises ClickpipeError: 404 if unknown, 400 without a schedule."""
        set_paused(self._services.catalog, self._id, self._require(name), paused=paused)

    def _require(self, name: str) -> SinkPipe:
        return require_sink(self._tables.live(), name)

    def _sink(self, name: str) -> Sink | TopicSink:
        return sink_of(self._tables.live(), name, partial(self._services.secrets.value, self._id))

    def _run(
        self,
        name: str,
        values: Mapping[str, Any],
        mode: str | None,
        before: Mapping[str, Any] | None,
        report: Report,
    ) -> Mapping[str, Any]:
        started = time.monotonic()
        pipe = self._require(name).pipe
        told: dict[str, Any] = {
            "service": "",
            "parameters": values,
            "options": {option: word.text for option, word in pipe.export.items()},
        }
        try:
            with self._turns.turn(name, report.check):
                sink = self._sink(name)
                told["service"] = sink.service
                done = self._write(sink, values, mode, before or {}, report)
        except (ClickpipeError, EngineError) as error:
            self._log.ran(
                self._id, name, report.job_id, seconds=time.monotonic() - started, error=shown_error(error), **told
            )
            raise
        files = [done["topic"]] if "topic" in done else list(done["files"])
        told |= {"rows": done["rows"], "size": done["bytes"], "files": files}
        self._log.ran(self._id, name, report.job_id, seconds=time.monotonic() - started, **told)
        return done

    def _write(
        self,
        sink: Sink | TopicSink,
        values: Mapping[str, Any],
        mode: str | None,
        before: Mapping[str, Any],
        report: Report,
    ) -> dict[str, Any]:
        """Run the query, and write its rows; return what was written."""
        services, live = self._services, self._tables.live()
        secret = partial(services.secrets.value, self._id)
        bound = bind(services.engine, live, live.compiled.sinks[sink.pipe].pipe, values, secret)
        with hiding_secrets(bound):
            if isinstance(sink, TopicSink):
                return {**send_rows(services, self._id, sink, bound, report), "topic": sink.topic}
            return self._export(sink, bound, mode, before, report)

    def _export(
        self, sink: Sink, bound: BoundSQL, mode: str | None, before: Mapping[str, Any], report: Report
    ) -> dict[str, Any]:
        """Write the files, then the manifest; then remove the files of the last run, if this one replaces them."""
        services, names = self._services, sink.files.names
        replaces = sink.files.replaces if mode is None else _MODES[mode]
        private = services.settings.import_private_urls == "allow"
        seconds = services.settings.import_max_seconds
        outgoing = Outgoing(sink, report, private=private, seconds=seconds)
        scratch = services.uploads.path(str(uuid.uuid4()))
        manifests = Manifests(sink, outgoing, scratch)
        with export(services.engine, bound, self._id, sink.pipe, names, report) as found:
            before_keys = before.get("keys") or {}
            keys = _keys(outgoing, names, found.files, before_keys, replaces=replaces, report=report)
            done: dict[str, Any] = {"keys": {**before_keys, **keys}, "rows": 0, "bytes": 0, "files": {}}
            report(done)
            left = manifests.begin(keys.values()) if replaces else {*before_keys.values()}
            for file, key in keys.items():
                try:
                    found.write(file, scratch, sink.files, report)
                    size = scratch.stat().st_size
                    report.check()
                    outgoing.put(key, scratch)
                finally:
                    scratch.unlink(missing_ok=True)
                done["rows"] += found.files[file]
                done["bytes"] += size
                done["files"][key] = {"rows": found.files[file], "bytes": size}
                report.check()
        manifests.write(report.job_id, done["files"], replaces=replaces)
        manifests.finish(left, done["files"])
        return {name: value for name, value in done.items() if name != "keys"}


def _keys(
    outgoing: Outgoing,
    names: FileNames,
    files: Mapping[str, int],
    before: Mapping[str, str],
    *,
    replaces: bool,
    report: Report,
) -> dict[str, str]:
    """Return the key of each file: a free one (`name.1.csv`), unless files are replaced or an earlier try had one."""
    found = {file: before[file] for file in files if file in before}
    taken = set(found.values())
    for file in files:
        number = 0
        while file not in found:
            report.check()
            key = file_key(names, file, number)
            if key not in taken and (replaces or not outgoing.exists(key)):
                found[file] = key
                taken.add(key)
            number += 1
    return found
