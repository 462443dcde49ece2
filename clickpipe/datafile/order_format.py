"""Arranges the directives of a formatted datafile: their order, and the blank lines between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from clickpipe.datafile.syntax import Kind

# Directives in the order of their groups; groups are separated by a blank line. A final `*` matches any ending.
_GROUPS: dict[Kind, tuple[tuple[str, ...], ...]] = {
    Kind.DATASOURCE: (
        ("VERSION",),
        ("DESCRIPTION",),
        ("TOKEN",),
        ("TAGS",),
        ("SCHEMA",),
        ("INDEXES",),
        ("ENGINE", "ENGINE_*"),
        ("INCLUDE", "KAFKA_*", "IMPORT_*", "PG_*"),
        ("SHARED_WITH",),
        ("FORWARD_QUERY",),
        ("*",),
    ),
    Kind.PIPE: (("VERSION",), ("DESCRIPTION",), ("TOKEN",), ("TAGS",), ("*",)),
    Kind.CONNECTION: (("DESCRIPTION",), ("TAGS",), ("TYPE", "*")),
}
_NODE_GROUPS = (("NODE", "DESCRIPTION", "TOKEN", "TAGS"), ("SQL",), ("TYPE", "*"))
_SORTED = "ENGINE_"


@dataclass(frozen=True, slots=True)
class Piece:
    """A formatted statement, and the comment lines before it.

    `swallows` if it is a block that would absorb a comment after it.
    """

    directive: str
    comments: tuple[str, ...]
    lines: tuple[str, ...]
    swallows: bool = False


def arrange(kind: Kind, pieces: Sequence[Piece], rest: Sequence[str]) -> list[list[str]]:
    """Return the lines of each group, in order; `rest` are the comment lines at the end.

    A comment that would follow a block that swallows it is moved before that block.
    """
    groups = list(_pipe(pieces) if kind is Kind.PIPE else _grouped(_GROUPS[kind], pieces))
    flat = [piece for group in groups for piece in group]
    comments = [*(list(piece.comments) for piece in flat), list(rest)]
    for number in range(len(flat), 0, -1):
        if flat[number - 1].swallows:
            comments[number - 1] += comments[number]
            comments[number] = []
    above = iter(comments)
    blocks = [[line for piece in group for line in (*next(above), *piece.lines)] for group in groups]
    return [*blocks, comments[-1]] if comments[-1] else blocks


def _pipe(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Yield the groups of the head, then of each node; nothing moves past an INCLUDE, which may contain nodes."""
    in_node = False
    for includes, found in groupby(pieces, lambda piece: piece.directive == "INCLUDE"):
        if includes:
            yield list(found)
            continue
        part: list[Piece] = []
        for piece in found:
            if piece.directive == "NODE":
                yield from _part(part, in_node=in_node)
                in_node, part = True, []
            part.append(piece)
        yield from _part(part, in_node=in_node)


def _part(pieces: Sequence[Piece], *, in_node: bool) -> Iterator[list[Piece]]:
    groups = list(_grouped(_NODE_GROUPS if in_node else _GROUPS[Kind.PIPE], pieces))
    if len(groups) > 1 and [p.directive for p in groups[0]] == ["NODE"]:
        groups[:2] = [[*groups[0], *groups[1]]]  # SQL directly follows a NODE that has nothing else
    yield from groups


def _grouped(groups: Sequence[Sequence[str]], pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    placed: dict[int, list[tuple[int, Piece]]] = {}
    for piece in pieces:
        group, rank = _place(groups, piece.directive)
        placed.setdefault(group, []).append((rank, piece))
    for group in sorted(placed):
        ordered = sorted(placed[group], key=lambda item: (item[0], _sorting(item[1].directive)))
        yield [piece for _, piece in ordered]


def _place(groups: Sequence[Sequence[str]], directive: str) -> tuple[int, int]:
    """Return the number of a directive's group, and its rank in the group."""
    for exact in (True, False):
        for number, group in enumerate(groups):
            for rank, name in enumerate(group):
                if directive == name or (not exact and name.endswith("*") and directive.startswith(name[:-1])):
                    return number, rank
    return len(groups), 0


def _sorting(directive: str) -> str:
    return directive if directive.startswith(_SORTED) else ""
