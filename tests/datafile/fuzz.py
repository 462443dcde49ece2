"""Mutated datafiles by the hundred thousand: `python -m tests.datafile.fuzz [inputs] [folder …]`.

Each is parsed and made into resources; nothing may be raised, and no input may take long for its size. Starts
from the datafiles in the repository, and in the folders named.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from clickpipe.project import load_texts, read_folder
from tests.conftest import ROOT

PIECES = [
    *("SCHEMA >\n", "SQL >\n", "NODE x\n", "TYPE copy\n", "INCLUDE x\n", "INDEXES >\n", "FORWARD_QUERY >\n"),
    *("`", "'", '"', "(", ")", "[", "]", "{{", "}}", "{%", "%}", "<<", ">>", "#", "--", ",", ";", "\\", "\n", "\t"),
    *("\0", "\ufeff", "\u2028", "é", "😀", "`json:$.a`", " DEFAULT ", "CODEC(", "%", "{% end %}", "String(", "$X"),
]
SECONDS_A_MEGABYTE = 20.0
SECONDS_ANYWAY = 2.0


def mutate(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 6)):
        at, to = sorted(rng.randint(0, len(text)) for _ in range(2))
        kind = rng.random()
        if kind < 0.4:
            text = text[:at] + rng.choice(PIECES) * rng.choice((1, 1, 1, 2, 50)) + text[at:]
        elif kind < 0.7:
            text = text[:at] + text[min(to, at + rng.randint(1, 40)) :]
        elif kind < 0.9:
            text = text[:at] + text[at : min(to, at + 200)] + text[at:]
        else:
            text = text[:at]
    return text


def run(inputs: int, texts: dict[str, str], seed: int = 1) -> tuple[str, float]:
    """Return the slowest input's name and its time over what it may take; raises what the parser raises."""
    rng = random.Random(seed)
    names = sorted(texts)
    worst = ("", 0.0)
    for number in range(inputs):
        name = rng.choice(names)
        text = mutate(texts[name], rng)
        started = time.perf_counter()
        try:
            load_texts({f"f{Path(name).suffix}": text, "x": text})
        except BaseException:
            Path(f"fuzz-{number}{Path(name).suffix}").write_text(text, encoding="utf-8", errors="surrogatepass")
            raise
        over = (time.perf_counter() - started) / (SECONDS_ANYWAY + SECONDS_A_MEGABYTE * len(text) / 1e6)
        worst = max(worst, (f"{number} ({name}, {len(text)} characters)", over), key=lambda w: w[1])
    return worst


def main(arguments: list[str]) -> None:
    inputs = int(arguments[0]) if arguments else 10_000
    texts = read_folder(ROOT)[0]
    for folder in arguments[1:]:
        texts |= {f"{folder}/{name}": text for name, text in read_folder(Path(folder))[0].items()}
    started = time.perf_counter()
    name, over = run(inputs, texts)
    print(f"{inputs} inputs from {len(texts)} files in {time.perf_counter() - started:.0f} s, diagnostics only;")
    print(f"the slowest, {name}, took {over:.0%} of what it may")


if __name__ == "__main__":
    main(sys.argv[1:])
