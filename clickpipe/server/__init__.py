"""The HTTP server: one thin module per API family. The only package that imports starlette and uvicorn."""

from clickpipe.server.app import create_app
from clickpipe.server.listen import listening
from clickpipe.server.run import run, serve_in_thread
from clickpipe.server.stopping import StopLimit, leave, restart

__all__ = ["StopLimit", "create_app", "leave", "listening", "restart", "run", "serve_in_thread"]
