"""Plans a deployment: typed steps, and which resources are new, changed or deleted. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import CompiledProject, unserved_resources
from clickpipe.deploy.planning.physical import Layout
from clickpipe.deploy.planning.step import Category, Feedback, Step
from clickpipe.deploy.planning.table_steps import TableSteps
from clickpipe.engine import Engine
from clickpipe.project import resource_name, sharing_a_group
from clickpipe.template import Secrets, no_secret

_SECRET = re.compile(r"""\btb_(?:secret|var)\(\s*(['"])(\w+)\1\s*\)""")

# What feedback on the deployment names; feedback on a file's text names the file.
_RESOURCES = frozenset({"Datasource", "Pipe", "Connection", "workspace", "tokens"})


@dataclass(frozen=True, slots=True)
class Changes:
    """Resource names, by what happens to them."""

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned deployment. `steps` are in the order in which they are applied.

    `other_files` are changed files that define no resource: what resources include, and the project's settings.
    """

    steps: tuple[Step, ...]
    data_sources: Changes
    pipes: Changes
    feedback: tuple[Feedback, ...]
    layout: Layout = field(repr=False)
    connections: Changes = Changes()
    other_files: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether nothing changes at all."""
        same = self.data_sources == self.pipes == self.connections == Changes()
        return same and not self.steps and not self.other_files

    @property
    def errors(self) -> tuple[Feedback, ...]:
        """Return the feedback that prevents the deployment."""
        return tuple(f for f in self.feedback if f.level == "ERROR")

    @property
    def warnings(self) -> tuple[Feedback, ...]:
        """Return what is lost or missing at this deployment; what its files' text is warned about is left out."""
        return tuple(f for f in self.feedback if f.level == "WARNING" and f.resource.split(" ")[0] in _RESOURCES)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as the deployment routes send it."""
        return {
            "new_datasource_names": list(self.data_sources.new),
            "changed_datasource_names": list(self.data_sources.changed),
            "deleted_datasource_names": list(self.data_sources.deleted),
            "new_pipe_names": list(self.pipes.new),
            "changed_pipe_names": list(self.pipes.changed),
            "deleted_pipe_names": list(self.pipes.deleted),
            "new_data_connector_names": list(self.connections.new),
            "changed_data_connector_names": list(self.connections.changed),
            "deleted_data_connector_names": list(self.connections.deleted),
            "changed_files": list(self.other_files),
            "feedback": [f.as_dict() for f in self.feedback],
            "steps": [
                {
                    "category": s.category.value,
                    "resource": s.resource,
                    "reason": s.reason,
                    "rows": s.rows,
                    "bytes": s.size,
                    "seconds": s.seconds,
                }
                for s in self.steps
            ],
        }


def make_plan(
    engine: Engine,
    compiled: CompiledProject,
    layout: Layout,
    live: Live | None,
    *,
    allow_destructive: bool,
    secret: Secrets = no_secret,
) -> Plan:
    """Compare a compiled project with the live deployment. Reads row counts; changes nothing.

    `secret` returns a secret's value, or None: missing ones get a warning.
    """
    old_texts = dict(live.compiled.project.files) if live else {}
    sources = _changes(old_texts, compiled.project.files, ".datasource")
    pipes = _changes(old_texts, compiled.project.files, ".pipe")
    connections = _changes(old_texts, compiled.project.files, ".connection")
    others = _other_files(old_texts, compiled.project.files)
    feedback: list[Feedback] = []
    steps: list[Step] = []
    existing = set(live.physical.objects) if live else set()  # any other table is half made and will be dropped
    tables = TableSteps(engine, compiled, layout, live, allow_destructive=allow_destructive)
    for step, remarks in tables.plan(existing):
        steps.append(step)
        feedback += remarks
    made = {item.name for step in steps for item in step.create}
    rest = [o for o in layout.objects() if o.name not in existing | made]
    if rest:
        steps.append(Step(Category.METADATA, "workspace", "quarantines and views", create=tuple(rest)))
    for name in sources.deleted:
        size = tables.size(*([live.physical.tables[name]] if live and name in live.physical.tables else []))
        steps.append(Step(Category.DESTRUCTIVE, name, "the data source is no longer in the project", **size))
        if not allow_destructive:
            message = (
                f"The data source '{name}' ({size['rows']} rows) would be deleted. Use --allow-destructive-operations."
            )
            feedback.append(Feedback("ERROR", f"Datasource {name}.datasource", message))
    feedback += _remarks(compiled, {step.resource for step in steps})
    feedback += _missing_secrets(compiled, secret)
    for diagnostic in compiled.diagnostics:
        feedback.append(Feedback("WARNING", diagnostic.span.file, f"{diagnostic.message}. {diagnostic.hint}".strip()))
    return Plan(tuple(steps), sources, pipes, tuple(feedback), layout, connections, others)


def all_new(compiled: CompiledProject) -> tuple[Changes, Changes]:
    """Return the changes of data sources and pipes in a first deployment: all new."""
    files = compiled.project.files
    return _changes({}, files, ".datasource"), _changes({}, files, ".pipe")


def _remarks(compiled: CompiledProject, changing: Collection[str]) -> Iterator[Feedback]:
    """Yield warnings about files that have no effect, or no longer have any."""
    for source in compiled.data_sources.values():
        resource = f"Datasource {source.name}.datasource"
        if source.forward_query is not None and source.name not in changing:
            yield Feedback("WARNING", resource, "FORWARD_QUERY has no use any more: remove it.")
    for name, other in sharing_a_group(compiled.data_sources.values(), compiled.project.connections).items():
        message = f"It reads no topic: '{other}' reads it as the same group. Name another KAFKA_GROUP_ID."
        yield Feedback("WARNING", f"Datasource {name}.datasource", message)
    fetched, sent = unserved_resources(compiled.project, compiled.rules)
    if fetched or sent:
        counts = [_counted(fetched, "data source with a connector", "data sources with connectors")]
        counts.append(_counted(sent, "sink", "sinks"))
        message = f"{' and '.join(filter(None, counts))} do nothing here: this build fetches and sends no rows."
        yield Feedback("WARNING", "workspace", message)


def _counted(names: Sequence[str], one: str, more: str) -> str:
    return f"{len(names)} {one if len(names) == 1 else more} ({', '.join(names)})" if names else ""


def _missing_secrets(compiled: CompiledProject, secret: Secrets) -> Iterator[Feedback]:
    """Yield warnings about secrets that are not set and have no default: calls would fail."""
    for pipe in compiled.project.pipes.values():
        asked = {name for node in pipe.nodes for _, name in _SECRET.findall(node.program.source.text)}
        for name in sorted(asked):
            if secret(name) is None:
                message = f"The secret '{name}' is not set: calls fail until you `clickpipe secret set {name}`."
                yield Feedback("WARNING", f"Pipe {pipe.name}.pipe", message)
    read = [source for source in compiled.data_sources.values() if source.connector]
    lines = [*(source.connector for source in read), *(pipe.export for pipe in compiled.project.pipes.values())]
    named = {word.text for options in lines for word in options.values()}
    used = [connection for connection in compiled.project.connections.values() if connection.name in named]
    places = [(f"Datasource {source.name}.datasource", source.secrets) for source in read]
    places += [(f"Connection {connection.name}.connection", connection.secrets) for connection in used]
    for place, secrets in places:
        for name in sorted({asked.name for asked in secrets if asked.default is None}):
            if secret(name) is None:
                message = (
                    f"The secret '{name}' is not set: nothing is read or sent until you `clickpipe secret set {name}`."
                )
                yield Feedback("WARNING", place, message)


def _other_files(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """Return the changed files that define no resource. In a first deployment, none has changed."""
    differing = [f for f in {**old, **new} if old.get(f) != new.get(f)] if old else []
    return tuple(sorted(f for f in differing if not f.endswith((".datasource", ".pipe", ".connection"))))


def _changes(old: Mapping[str, str], new: Mapping[str, str], ending: str) -> Changes:
    before = {resource_name(f): text for f, text in old.items() if f.endswith(ending)}
    after = {resource_name(f): text for f, text in new.items() if f.endswith(ending)}
    return Changes(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(name for name in after.keys() & before.keys() if after[name] != before[name])),
        tuple(sorted(before.keys() - after.keys())),
    )
