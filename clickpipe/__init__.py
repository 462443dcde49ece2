"""clickpipe: data sources and pipes in text files become an analytics API on ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clickpipe.runtime import (
        load,
        open_project as open,  # noqa: A004 - clickpipe.open() reads well
    )

__version__ = "0.1.0"
__all__ = ["__version__", "load", "open"]


def __getattr__(name: str) -> Any:
    """Import the runtime only when it is used: `clickpipe --help` must not wait for an engine."""
    if name in {"load", "open"}:
        from clickpipe import runtime

        return runtime.load if name == "load" else runtime.open_project
    message = f"module 'clickpipe' has no attribute '{name}'"
    raise AttributeError(message)
