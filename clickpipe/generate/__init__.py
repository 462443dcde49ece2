"""A compiled project as text for others: an OpenAPI document, typed clients. Pure: CompiledProject in, text out."""

from clickpipe.generate.openapi import openapi_document
from clickpipe.generate.python import python_client
from clickpipe.generate.typescript import typescript_client

__all__ = ["openapi_document", "python_client", "typescript_client"]
