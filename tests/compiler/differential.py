"""Our verdict on a project's nodes against ClickHouse's own, with nothing spliced.

Each node's text goes to ClickHouse as its author wrote it. What it names is there by that name: data sources as empty
tables, nodes and pipes as views, in a database of its own for each node. A node that ClickHouse takes so must not be
refused by us.

    python -m tests.compiler.differential FOLDER …
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from clickpipe.compiler import QUARANTINE_SUFFIX, CompiledProject, table_ddl, table_ddl_quarantine
from clickpipe.compiler.graph import Graph, NodeInfo, Variant, build_graph
from clickpipe.compiler.service import SERVICE_SOURCES, service_ddl
from clickpipe.diagnostics import Severity
from clickpipe.engine import Engine, EngineError, inline
from clickpipe.sql import quote_identifier


def wrongly_refused(engine: Engine, compiled: CompiledProject) -> Iterator[str]:
    """Yield the nodes with an error of ours that ClickHouse takes as they are: `pipe.node: what we say`."""
    graph, _ = build_graph(compiled.project, compiled.reader)
    for info in graph.nodes:
        source = info.node.program.source.span
        told = [
            d
            for d in compiled.diagnostics
            if d.severity is Severity.ERROR
            and d.code in {"CP2003", "CP2010", "CP4001", "CP4002", "CP4004"}
            and d.span.file == source.file
            and source.start <= d.span.start <= source.end
        ]
        if told and info.variants and _Reference(engine, compiled, graph).takes(info, info.variants[0]):
            yield f"{info.pipe.name}.{info.node.name}: {told[0].message}"


class _Reference:
    """Puts what a node reads into a database, under the names that it uses, and asks ClickHouse there."""

    def __init__(self, engine: Engine, compiled: CompiledProject, graph: Graph) -> None:
        self._engine = engine
        self._compiled = compiled
        self._graph = graph
        self._made: list[str] = []

    def takes(self, info: NodeInfo, variant: Variant) -> bool:
        try:
            self._use(self._database(info))
            self._engine.describe(inline(variant.rendered.text, dict(variant.params)))  # type: ignore[arg-type]
        except EngineError:
            return False
        finally:
            self._use("default")
            for name in reversed(self._made):
                self._engine.execute(f"DROP DATABASE {name}")
            self._made.clear()
        return True

    def _use(self, database: str) -> None:
        self._engine.execute(f"USE {database}")

    def _database(self, info: NodeInfo) -> str:
        """Make a database with all that a node reads, by the names that it uses."""
        name = f"reference_{len(self._made)}"
        self._engine.execute(f"CREATE DATABASE {name} ENGINE = Memory")
        self._made.append(name)
        for source in info.reads_sources:
            self._table(name, source)
        for pipe, node in info.reads_nodes:
            shown = node.name if pipe.name == info.pipe.name else pipe.name
            self._view(f"{name}.{quote_identifier(shown)}", self._graph.by_key[(pipe.name, node.name)])
        return name

    def _view(self, view: str, info: NodeInfo) -> None:
        database = self._database(info)
        text = inline(info.variants[0].rendered.text, dict(info.variants[0].params))  # type: ignore[arg-type]
        self._use(database)
        self._engine.execute(f"CREATE VIEW {view} AS\n{text}")

    def _table(self, database: str, name: str) -> None:
        base, dot, service = name.partition(".")
        if dot:
            self._engine.execute(f"CREATE DATABASE IF NOT EXISTS {base} ENGINE = Memory")
            self._made += [base] if base not in self._made else []
            if service in SERVICE_SOURCES:
                self._engine.execute(service_ddl(service, f"{base}.{service}"))
            else:
                self._engine.execute(table_ddl(self._compiled.data_sources[name], f"{base}.{service}"))
            return
        table = f"{database}.{quote_identifier(name)}"
        if name in self._compiled.data_sources:
            self._engine.execute(table_ddl(self._compiled.data_sources[name], table))
        else:
            source = self._compiled.data_sources[name.removesuffix(QUARANTINE_SUFFIX)]
            self._engine.execute(table_ddl_quarantine(source, table))


def main(folders: list[str]) -> int:
    from clickpipe.checking import check_folder
    from clickpipe.engine import EmbeddedEngine

    engine = EmbeddedEngine(workers=1)
    found = 0
    for folder in folders:
        for line in wrongly_refused(engine, check_folder(Path(folder))):
            sys.stdout.write(f"{folder}: {line}\n")
            found += 1
    engine.close()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
