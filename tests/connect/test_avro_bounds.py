"""A small message of Avro takes little memory, whatever its schema says."""

from __future__ import annotations

from typing import Any

import pytest

from clickpipe.connect.avro import Avro, AvroError


@pytest.mark.parametrize("scale", [77, 10**6, 10**18, -1, -(10**6), 0.5, "9", None, [], float("inf")])
@pytest.mark.parametrize("kind", [{"type": "bytes"}, {"type": "fixed", "name": "f", "size": 1}])
def test_a_decimal_with_an_odd_scale_is_refused(kind: dict[str, Any], scale: object) -> None:
    """One byte with the scale 1,000,000,000 would be written out with as many zeros."""
    with pytest.raises(AvroError, match="odd scale"):
        Avro({**kind, "logicalType": "decimal", "scale": scale})


def test_a_long_decimal_is_refused() -> None:
    decimal = Avro({"type": "bytes", "logicalType": "decimal", "scale": 76})
    assert decimal.read(b"\x02\x01") == "0." + "0" * 75 + "1"
    with pytest.raises(AvroError, match="too long"):
        decimal.read(b"\x82\x01" + b"\x7f" * 65)


@pytest.mark.parametrize("size", ["many", float("inf"), float("nan"), None])
def test_an_odd_size_is_an_error_of_the_schema(size: object) -> None:
    with pytest.raises(AvroError, match="in the schema"):
        Avro({"type": "fixed", "name": "f", "size": size})
