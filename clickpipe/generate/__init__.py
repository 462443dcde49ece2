"""Generates an OpenAPI document and typed clients from a CompiledProject. Pure functions that return text."""

from clickpipe.generate.openapi import openapi_document
from clickpipe.generate.python import python_client
from clickpipe.generate.typescript import typescript_client

__all__ = ["openapi_document", "python_client", "typescript_client"]
