"""The command line. The only room that knows click and rich; rich and everything behind load when used."""

from clickpipe.cli.app import main, run

__all__ = ["main", "run"]
