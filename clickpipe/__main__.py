"""`python -m clickpipe`: the command line."""

from __future__ import annotations

from clickpipe.cli import run

if __name__ == "__main__":
    run()
