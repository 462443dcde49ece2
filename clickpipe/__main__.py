"""`python -m clickpipe`: the command line."""

from __future__ import annotations

from clickpipe.cli import main

if __name__ == "__main__":
    main()
