"""Shapes shared by several routes."""

from __future__ import annotations

from starlette.responses import Response


def text_response(text: str) -> Response:
    """Return a datafile as a response: published clients expect the type without a charset."""
    return Response(text.encode(), headers={"Content-Type": "text/plain"})
