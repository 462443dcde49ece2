"""Runs a project's tests (`tests/*.yaml` and `*.test`) against its fixtures, in a temporary workspace."""

from clickpipe.testing.cases import CommandTest, EndpointTest, QualityTest, SkippedTest, Test, read_tests
from clickpipe.testing.run import Outcome, project_in_memory, run_test, run_tests
from clickpipe.testing.update import add_test, update_file

__all__ = [
    "CommandTest",
    "EndpointTest",
    "Outcome",
    "QualityTest",
    "SkippedTest",
    "Test",
    "add_test",
    "project_in_memory",
    "read_tests",
    "run_test",
    "run_tests",
    "update_file",
]
