"""The HTTP server: one thin module per API family. The only package that imports starlette and uvicorn."""

from clickpipe.server.app import create_app
from clickpipe.server.listen import listening
from clickpipe.server.run import run, serve_in_thread

__all__ = ["create_app", "listening", "run", "serve_in_thread"]
