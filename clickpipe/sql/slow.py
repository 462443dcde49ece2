"""Refuses functions that may take minutes for one row, in what ClickHouse computes in the background.

Deletions and merges of all workspaces share a few threads, and no time limit reaches a function that works on one row.
So conditions of deletions, keys, TTLs and defaults may only use functions whose time grows in proportion to what they
get.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clickpipe.sql.guard import Refusal, nodes

_PLACES = "conditions, keys and TTLs"
# Their time grows with the square of what they get, or worse.
_SLOW = frozenset(
    {
        *(
            "arraylevenshteindistance",
            "arraylevenshteindistanceweighted",
            "arraysimilarity",
            "dameraulevenshteindistance",
        ),
        *("editdistance", "editdistanceutf8", "jarosimilarity", "jarowinklersimilarity", "levenshteindistance"),
        *("levenshteindistanceutf8", "multifuzzymatchallindices", "multifuzzymatchany", "multifuzzymatchanyindex"),
        *("polygonconvexhullcartesian", "polygonsdistancecartesian", "polygonsdistancespherical"),
        *("polygonsequalscartesian", "polygonsintersectcartesian", "polygonsintersectioncartesian"),
        *("polygonsintersectionspherical", "polygonsintersectspherical", "polygonssymdifferencecartesian"),
        *("polygonssymdifferencespherical", "polygonsunioncartesian", "polygonsunionspherical"),
        *("polygonswithincartesian", "polygonswithinspherical", "seriesdecomposestl", "timeseriesrange"),
    }
)
# They make much of little: a number becomes a million values.
_MAKERS = frozenset(
    {
        *(
            "arrayresize",
            "arraywithconstant",
            "geohashesinbox",
            "h3kring",
            "h3polygontocells",
            "leftpad",
            "leftpadutf8",
        ),
        *(
            "h3polygontocellswithcontainment",
            "mappopulateseries",
            "range",
            "repeat",
            "rightpad",
            "rightpadutf8",
            "space",
        ),
    }
)


def refuse_slow(root: Mapping[str, Any], *, makers: bool = True) -> Iterator[Refusal]:
    """Yield a refusal for each slow function in a tree; with `makers`, also for what makes much of little.

    That includes lambdas in lambdas and table functions.
    """
    for node in nodes(root):
        name = str(node.get("name" if node["type"] == "Function" else "func_name", ""))
        lower = name.lower()
        if lower in _SLOW or (makers and lower in _MAKERS):
            yield Refusal(f"The function '{name}' may take too long for one row: use another one in {_PLACES}.", name)
        elif makers and lower == "lambda" and any(_is_lambda(n) for n in nodes(node) if n is not node):
            yield Refusal(
                f"A lambda in a lambda may take too long for one row: use one lambda at most in {_PLACES}.", "->"
            )
        elif makers and node["type"] == "TableExpression" and (function := node.get("table_function")) is not None:
            yield Refusal(
                f"The table function '{function['name']}' cannot be read in {_PLACES}: read a data source or a pipe.",
                str(function["name"]),
            )


def _is_lambda(node: Mapping[str, Any]) -> bool:
    return node["type"] == "Function" and str(node.get("name", "")).lower() == "lambda"
