"""Writes projects that try to get out: seeds with some places changed, files added, and texts cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from random import Random
from typing import TypeVar

from tests.security import datafile_pieces as pieces
from tests.security.datafile_places import KINDS, places
from tests.security.seed_projects import seeds

_Choice = TypeVar("_Choice")

_IN_A_ROW = 8  # projects of one seed, so that a deployment changes what is there
_QUIET = 0.72
_HOLE = re.compile(r"\{(file|address|port|out|foreign|e|t|q|x|text|sql|tag|tagged|old)\}")
_HOLES = {
    "e": pieces.EXPRESSIONS,
    "t": pieces.TABLES,
    "q": pieces.QUIET_EXPRESSIONS,
    "x": pieces.TEXTS,
    "text": pieces.TEXTS,
    "sql": pieces.SQL,
    "tag": pieces.QUIET_TAGS,
    "tagged": pieces.TAGS,
}


@dataclass(frozen=True)
class Outside:
    """What a project may not reach: files, an address with a port, a file to write, another workspace's database."""

    files: tuple[str, ...]
    port: int
    out: str
    foreign: str


class ProjectWriter:
    """Writes one project; the same for the same number."""

    def __init__(self, number: int, outside: Outside) -> None:
        self._random = Random(number)
        self._outside = outside
        self.seed, self.good = seeds()[number // _IN_A_ROW % len(seeds())]
        sources = [PurePosixPath(name).stem for name in self.good if name.endswith(".datasource")]
        self._own = self._of(sources) if sources else "numbers(3)"

    def files(self) -> dict[str, str]:
        """Return a project's files by their names."""
        files = dict(self.good)
        for _ in range(self._of((1, 1, 1, 2, 2, 3))):
            kind = self._random.randrange(24)
            if kind < 19:
                self._change(files)
            elif kind < 21:
                files["pipes/more.pipe"] = self._filled(self._of(pieces.PIPES))
            elif kind == 21:
                name = self._of(tuple(files))
                files[name] = self._cut(files[name])
            elif kind == 22:
                pipe = f"NODE n\nSQL >\n    {self._filled(self._of(pieces.SQL))}\n\nTYPE endpoint\n"
                files[f"{self._of(pieces.FILE_NAMES)}.pipe"] = pipe
            else:
                lines = pieces.LINES + pieces.SETTINGS
                files[self._of(pieces.OTHER_FILES)] = self._filled(self._of(lines))
        return files

    def _change(self, files: dict[str, str]) -> None:
        """Put a piece into one place of one file."""
        for _ in range(8):
            name = self._of(tuple(files))
            kinds = KINDS.get(name.rpartition(".")[2], ())
            if not kinds:
                continue
            kind = self._of(kinds)
            if found := list(places(kind, files[name])):
                start, end = self._of(found)
                text = files[name]
                piece = self._of(kind.quiet if self._random.random() < _QUIET else kind.loud)
                files[name] = text[:start] + self._filled(piece, text[start:end]) + text[end:]
                return

    def _of(self, choices: Sequence[_Choice]) -> _Choice:
        return self._random.choice(choices)

    def _filled(self, piece: str, old: str = "x", depth: int = 0) -> str:
        """Return a piece with something in each of its holes."""

        def fill(match: re.Match[str]) -> str:
            hole = match[1]
            if hole == "old":
                return old
            if hole in _HOLES:
                return self._filled(self._of(_HOLES[hole]), old, depth + 1) if depth < 4 else "1"
            return self._thing(hole)

        text = re.sub(r"\bevents\b", lambda _: self._own, piece) if depth == 0 else piece
        return _HOLE.sub(fill, text)

    def _thing(self, hole: str) -> str:
        outside = self._outside
        if hole == "file":
            return self._of(outside.files)
        if hole == "address":
            return f"http://{self._of(('127.0.0.1', 'localhost', '[::1]'))}:{outside.port}/"
        return {"port": str(outside.port), "out": outside.out, "foreign": outside.foreign}[hole]

    def _cut(self, text: str) -> str:
        """Return a text with a piece taken out, doubled, or spoiled."""
        start = self._random.randrange(len(text) or 1)
        end = min(len(text), start + self._random.randrange(1, 60))
        spoiled = self._of(
            ("", text[start:end] * 2, "'", '"', "`", "/*", "--", "\0", "(", ")", ">", "\n\n", "{{", "%}", ";")
        )
        return text[:start] + spoiled + text[end:]
