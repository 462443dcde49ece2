"""`python -m examples NAME [options of clickpipe dev]`: serve an example with the broker or bucket it reads."""

from __future__ import annotations

import sys
from collections.abc import Callable

from examples import files_in_a_bucket, kafka_clickstream

EXAMPLES: dict[str, Callable[[list[str]], int]] = {
    "kafka-clickstream": kafka_clickstream.main,
    "files-in-a-bucket": files_in_a_bucket.main,
}


def main(words: list[str]) -> int:
    """Serve the example that the first word names; return the exit code."""
    if not words or words[0] not in EXAMPLES:
        named = f"no example named {words[0]}; " if words else ""
        print(f"{named}there are: {', '.join(EXAMPLES)} (make example NAME=...)", file=sys.stderr)
        return 2
    return EXAMPLES[words[0]](words[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
