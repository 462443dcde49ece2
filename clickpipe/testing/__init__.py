"""Endpoint tests: `tests/*.yaml` of a project, run against its fixtures in a workspace that is thrown away."""

from clickpipe.testing.cases import EndpointTest, read_tests
from clickpipe.testing.run import Outcome, run_test, run_tests

__all__ = ["EndpointTest", "Outcome", "read_tests", "run_test", "run_tests"]
