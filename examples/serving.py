"""Serves an example's folder until Ctrl-C, while something feeds what it reads from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path


def serve(folder: Path, secrets: Mapping[str, str], feed: Callable[[threading.Event], None], options: list[str]) -> int:
    """Run `clickpipe dev --with-connections` with further options; return its exit code.

    `secrets` are for the example's connections. `feed` runs in a thread until the event it is given is set.
    """
    environment = {**os.environ, **{f"CLICKPIPE_SECRET_{name}": value for name, value in secrets.items()}}
    environment["CLICKPIPE_IMPORT_PRIVATE_URLS"] = "allow"  # the bucket is on this machine
    stop = threading.Event()
    feeder = threading.Thread(target=feed, args=[stop], name="feed", daemon=True)
    feeder.start()
    command = [sys.executable, "-m", "clickpipe", "dev", str(folder), "--with-connections", *options]
    process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 - our own command
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C ends the server first, then what it reads from
        signal.signal(number, lambda *_: process.send_signal(signal.SIGINT))
    try:
        return process.wait()
    finally:
        stop.set()
        feeder.join(10)
