"""The HTTP server: one module for each API family, thin. The only room that knows starlette and uvicorn."""

from clickpipe.server.app import create_app
from clickpipe.server.listen import listening
from clickpipe.server.run import run, serve_in_thread

__all__ = ["create_app", "listening", "run", "serve_in_thread"]
