"""clickpipe: data sources and pipes in text files become an analytics API on ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clickpipe.checking import load
    from clickpipe.runtime import open_project as open  # noqa: A004 - clickpipe.open() reads well

__version__ = "0.1.0"
__all__ = ["__version__", "load", "open"]


def __getattr__(name: str) -> Any:
    """Import the runtime only when it is used: `clickpipe --help` must not wait for an engine."""
    if name == "load":
        from clickpipe.checking import load

        return load
    if name == "open":
        from clickpipe.runtime import open_project

        return open_project
    message = f"module 'clickpipe' has no attribute '{name}'"
    raise AttributeError(message)
