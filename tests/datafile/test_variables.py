from __future__ import annotations

import pytest

from clickpipe.datafile import expand_variables

ENVIRONMENT = {"TOPIC": "orders", "KEY": "id, at", "SQL": "never"}


@pytest.mark.parametrize(
    ("file", "text", "expanded"),
    [
        ("a.datasource", "KAFKA_TOPIC $TOPIC\n", "KAFKA_TOPIC orders\n"),
        ("a.datasource", 'KAFKA_TOPIC "x_${TOPIC}_y" # $TOPIC\n', 'KAFKA_TOPIC "x_orders_y" # $TOPIC\n'),
        ("a.datasource", "SORTING_KEY $KEY\nTOKEN $TOPIC READ", "SORTING_KEY id, at\nTOKEN orders READ"),
        ("a.pipe", "NODE $TOPIC\nSQL >\n    SELECT '$SQL'\n", "NODE orders\nSQL >\n    SELECT '$SQL'\n"),
        ("a.connection", "KAFKA_KEY $UNKNOWN$TOPIC", "KAFKA_KEY $UNKNOWNorders"),
        # Not values: prose, jsonpaths, what INCLUDE replaces itself, other files.
        ("a.datasource", "DESCRIPTION $TOPIC\nSCHEMA >\n    a String `json:$.TOPIC`", None),
        ("a.datasource", 'INCLUDE "x_$TOPIC.incl" "A=$TOPIC"', 'INCLUDE "x_orders.incl" "A=$TOPIC"'),
        ("a.incl", "KAFKA_TOPIC $TOPIC", None),
        ("a.datasource", "KAFKA_TOPIC $NOTHING", None),
    ],
)
def test_values_take_variables_of_the_environment(file: str, text: str, expanded: str | None) -> None:
    assert expand_variables(file, text, ENVIRONMENT) == (text if expanded is None else expanded)
