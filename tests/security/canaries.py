"""The forms in which a secret may stand in a text."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote, quote_plus

_PART = 10  # letters of a canary's end that are nobody else's


def forms(canary: str) -> set[str]:
    """Return how a canary may stand in a text, whole or its middle: a part of so many letters is a leak, too."""
    found = {canary, canary[4:-4]}
    for text in (canary, canary[3:]):
        raw = text.encode()
        found |= {quote(text, safe=""), quote_plus(text), quote(quote(text, safe=""), safe="")}
        found |= {raw.hex(), raw.hex().upper(), json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
        found.add(json.dumps(json.dumps(text))[3:-3])
        found |= {text[::-1], text.upper(), text.lower(), raw[::-1].hex()}
        sql = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        found |= {sql, sql.replace("\\", "\\\\"), text.replace("'", "''"), repr(text)[1:-1]}
        for shift in range(3):  # base64 depends on where it begins
            found.add(base64.b64encode(b"x" * shift + raw).decode()[4 if shift else 0 : -4].rstrip("="))
            found.add(base64.urlsafe_b64encode(b"x" * shift + raw).decode()[4 if shift else 0 : -4].rstrip("="))
    words = re.split(r"[^\w.-]+", canary)
    return found | {word for word in words if len(word) >= 12}


def disguised(canary: str) -> set[str]:
    """Return also the forms that a query gives a text: reversed, in another case, its last letters alone."""
    found: set[str] = set()
    for text in (canary, canary[::-1], canary.upper()):
        found |= forms(text)
    last = canary[-_PART:]
    return found | {last, last.upper(), last[::-1], last.encode().hex(), last.encode().hex().upper()}
