"""What data sources and pipes have in common: description, tags, tokens."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from clickpipe.datafile import Statement
from clickpipe.diagnostics import Diagnostic, Severity, did_you_mean
from clickpipe.project.model import Grant


def description(statements: Iterable[Statement]) -> str:
    """Return the DESCRIPTION without the indentation of its block, or ''."""
    for statement in statements:
        if statement.directive == "DESCRIPTION":
            return textwrap.dedent(statement.argument.text).strip()
    return ""


def tags(statements: Iterable[Statement]) -> tuple[str, ...]:
    """Return the TAGS."""
    return listed(statements, "TAGS")


def listed(statements: Iterable[Statement], directive: str) -> tuple[str, ...]:
    """Return the values of a directive that takes a list, split at commas and line ends."""
    found = [t for s in statements if s.directive == directive for t in re.split(r"[,\n]", s.argument.text)]
    return tuple(t.strip() for t in found if t.strip())


def version(statements: Iterable[Statement]) -> str:
    """Return the VERSION of Tinybird Classic, or ''."""
    return next((s.argument.text.strip() for s in statements if s.directive == "VERSION"), "")


def is_cron(text: str) -> bool:
    """Return whether a string is a cron expression."""
    from croniter import croniter  # slow to import, rarely needed

    return bool(croniter.is_valid(text))


def never_comes(text: str) -> bool:
    """Return whether a cron expression never matches, such as one for 30 February."""
    from croniter import CroniterError, croniter

    try:
        croniter(text).get_next()
    except CroniterError:
        return True
    return False


def grants(statements: Iterable[Statement], allowed: tuple[str, ...]) -> tuple[list[Grant], list[Diagnostic]]:
    """Return the TOKEN lines; `allowed` are the permissions for this kind of file."""
    found: list[Grant] = []
    diagnostics: list[Diagnostic] = []
    for statement in statements:
        if statement.directive != "TOKEN":
            continue
        name, permission = statement.words
        if permission.text.upper() == "CREATE" and "APPEND" in allowed:
            hint = "write APPEND: deployments create data sources"
            message = "the permission CREATE is deprecated"
            diagnostics.append(Diagnostic("CP1011", message, permission.span, Severity.WARNING, hint))
            found.append(Grant(name.text, "APPEND", name.span))
            continue
        if permission.text.upper() in allowed:
            found.append(Grant(name.text, permission.text.upper(), name.span))
            continue
        only = " and ".join(allowed) + (" are supported" if len(allowed) > 1 else " is allowed for pipes")
        message = f"Invalid permission: {permission.text}. Only {only}"
        hint = did_you_mean(permission.text, allowed)
        diagnostics.append(Diagnostic("CP1008", message, permission.span, hint=hint))
    return found, diagnostics
