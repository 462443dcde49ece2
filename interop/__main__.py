"""`python -m interop [client …]`: run the clients' checks, print what each does; exit 1 where one fails."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving import Server, free_port, serve
from interop.clients import CLIENTS, Client
from interop.environments import Environments, NotInstalled, Unreachable

PROJECT = Path(__file__).parent / "project"
PORT = 7181
# Silence and no telemetry; a terminal that wraps nothing unless a client wants it to.
QUIET = {"CI": "true", "TB_CLI_TELEMETRY_OPTOUT": "1", "TB_VERSION_WARNING": "0", "DBT_SEND_ANONYMOUS_USAGE_STATS": "0"}
QUIET |= {"DO_NOT_TRACK": "1", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}

# What a script needs of our environment: where registries are, and how to reach them.
KEPT = ("LANG", "TMPDIR", "SSL_CERT", "PIP_", "npm_config_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


@dataclass(slots=True)
class Outcome:
    """What a client's checks said: lines `ok …`, `fault …` (the client's own), `FAIL …`; or why it did not run."""

    client: Client
    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    skipped: str = ""
    failed: bool = False


def main(arguments: list[str]) -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m interop", description=__doc__)
    names = [client.name for client in CLIENTS]
    parser.add_argument("client", nargs="*", help=f"the clients to run; all without: {', '.join(names)}")
    parser.add_argument("--environments", type=Path, default=Path(".interop"), help="where environments are kept")
    parser.add_argument("--verbose", action="store_true", help="print each check that passes too")
    given = parser.parse_args(arguments)
    if unknown := set(given.client) - set(names):
        parser.error(f"no client named {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    environments = Environments(given.environments.resolve())
    outcomes = [_one(c, environments, given.verbose) for c in CLIENTS if not given.client or c.name in given.client]
    print(f"\n{'client':24} {'ok':>4} {'fail':>5} {'its own':>8}")
    for outcome in outcomes:
        counts = outcome.counts
        told = f"skipped: {outcome.skipped}" if outcome.skipped else "FAILED" if outcome.failed else ""
        print(f"{outcome.client.name:24} {counts['ok']:4} {counts['FAIL']:5} {counts['fault']:8}  {told}")
    return int(any(outcome.failed for outcome in outcomes))


def _one(client: Client, environments: Environments, verbose: bool) -> Outcome:  # noqa: FBT001 - a flag of ours
    outcome = Outcome(client)
    print(f"== {client.name}", flush=True)
    try:
        command, folder = environments.command(client)
        with _server(client) as server:
            _run(outcome, command, folder, server)
    except Unreachable as error:
        outcome.skipped = str(error)
    except NotInstalled as error:
        outcome.failed = True
        outcome.lines.append(f"FAIL install: {error}")
    for line in outcome.lines:
        if verbose or not line.startswith("ok "):
            print(f"  {line}", flush=True)
    if outcome.skipped:
        print(f"  skipped: {outcome.skipped}", flush=True)
    return outcome


@contextmanager
def _server(client: Client) -> Iterator[Server]:
    """Start a server with the project deployed and its rows in it. Raises Unreachable when its port is taken."""
    import socket

    if client.fixed_port:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", PORT))
            except OSError:
                raise Unreachable(f"port {PORT}, which it has built in, is taken") from None
    with tempfile.TemporaryDirectory(prefix="clickpipe-interop-") as folder:
        settings = {"CLICKPIPE_LOCAL_TOKENS": "on", "CLICKPIPE_CLICKHOUSE_PORT": str(free_port())}
        with serve(Path(folder), PROJECT, settings, PORT if client.fixed_port else 0) as server:
            connection = server.connect()
            rows = (PROJECT / "fixtures" / "events.ndjson").read_bytes()
            server.request(connection, "POST", "/v0/events?name=events&wait=true", rows)
            connection.close()
            yield Server(server.url, server.token, server.pid, int(settings["CLICKPIPE_CLICKHOUSE_PORT"]))


def _run(outcome: Outcome, command: list[str], folder: Path, server: Server) -> None:
    with tempfile.TemporaryDirectory(prefix="clickpipe-interop-home-") as home:
        shutil.copytree(PROJECT, Path(home) / "project")
        port = server.url.rpartition(":")[2]
        environment = {
            **{name: value for name, value in os.environ.items() if name.startswith(KEPT)},
            **QUIET,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": home,
            "URL": server.url,
            "PORT": port,
            "CLICKHOUSE_PORT": str(server.clickhouse_port),
            "TOKEN": server.token,
        }
        began = time.monotonic()
        try:
            done = subprocess.run(
                command,
                cwd=home,
                env=environment,
                capture_output=True,
                text=True,
                timeout=outcome.client.seconds,
                check=False,
            )
            text, code = done.stdout, done.returncode
            errors = done.stderr
        except subprocess.TimeoutExpired as error:
            text = (error.stdout or b"").decode() if isinstance(error.stdout, bytes) else str(error.stdout)
            errors, code = f"took more than {outcome.client.seconds} s", 1
        for line in text.splitlines():
            word = line.partition(" ")[0]
            if word in {"ok", "FAIL", "fault"}:
                outcome.counts[word] += 1
                outcome.lines.append(line)
            elif line.startswith("  "):
                outcome.lines.append(line)
        outcome.failed = code != 0 or outcome.counts["FAIL"] > 0 or not outcome.counts["ok"]
        if outcome.failed and not outcome.counts["FAIL"]:
            outcome.lines.append(f"FAIL it ended with {code}: {errors[-2000:]}")
        print(f"  {outcome.counts['ok']} ok in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
