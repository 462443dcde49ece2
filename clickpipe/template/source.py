"""Prepares a template's text for jinja2: translates the dialect's own syntax, and reports unsupported Python syntax."""

from __future__ import annotations

import re

from jinja2 import TemplateSyntaxError

_TAG = re.compile(r"\{[{%](?:(?!\{[{%]).)*?[}%]\}", re.DOTALL)
_QUOTED_OR_AND = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|&")
_ANGLE_CALL = re.compile(r"<<(\s*[A-Za-z_]\w*\s*\((?:'[^'\n]*'|\"[^\"\n]*\"|(?!<<)[^'\"])*?\)\s*)>>")
_COMMENT = re.compile(r"\{%(\s*(?:comment|whitespace)\b(?:(?!\{%).)*?)%\}", re.DOTALL)
_F_STRING = re.compile(r"(?<![\w'\"])[fF](?=['\"])")
_COMPREHENSION = re.compile(r"[\[({][^\[\](){}]*\bfor\s+\w+(?:\s*,\s*\w+)*\s+in\b")


def normalise(sql: str) -> str:
    """Return the text for jinja, with the same offsets: the leading `%` blanked, `<<Call()>>` as `{{Call()}}`."""
    start = len(sql) - len(sql.lstrip())
    body = f"{sql[:start]} {sql[start + 1 :]}" if sql[start : start + 1] == "%" else sql
    if "<<" in body:
        body = _ANGLE_CALL.sub(r"{{\1}}", body)
    if "comment" in body or "whitespace" in body:
        body = _COMMENT.sub(r"{#\1#}", body)
    return _TAG.sub(_and, body)


def _and(tag: re.Match[str]) -> str:
    """Replace `&` between conditions by `*`, the jinja operator that binds and evaluates alike."""
    return _QUOTED_OR_AND.sub(lambda m: "*" if m[0] == "&" else m[0], tag[0]) if "&" in tag[0] else tag[0]


def pythonic(source: str) -> TemplateSyntaxError | None:
    """Return an error that says what to write instead of f-strings and comprehensions, if there are any."""
    for tag in _TAG.finditer(source):
        if _F_STRING.search(tag[0]):
            message = "f-strings are not known here; join texts with ~: 'a' ~ x ~ 'b'"
        elif not tag[0].startswith("{% for") and _COMPREHENSION.search(tag[0]):
            message = "comprehensions are not supported; use a {% for %} loop"
        else:
            continue
        return TemplateSyntaxError(message, source.count("\n", 0, tag.start()) + 1)
    return None
