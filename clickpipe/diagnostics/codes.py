"""Every diagnostic code with its title: CP1 datafile, CP2 project, CP3 template, CP4 SQL and types."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """A diagnostic code and its title; `docs/diagnostics.md` has an example of each."""

    code: str
    title: str


_TITLES = {
    "CP1001": "unknown directive",
    "CP1002": "directive not allowed here",
    "CP1003": "wrong number of arguments",
    "CP1004": "a block is needed",
    "CP1005": "a block is not allowed",
    "CP1006": "directive given twice",
    "CP1007": "unclosed quote",
    "CP1008": "value not accepted by this directive",
    "CP1009": "empty block",
    "CP1010": "directive not supported",
    "CP1011": "directive deprecated",
    "CP1012": "INCLUDE cannot be resolved",
    "CP1013": "template not allowed here",
    "CP1014": "line has no effect in this build",
    "CP1101": "column cannot be parsed",
    "CP1102": "column defined twice",
    "CP1104": "column clause not supported",
    "CP1105": "data source without a schema",
    "CP1106": "jsonpath cannot be parsed",
    "CP1107": "default does not fit the type",
    "CP1201": "unknown engine",
    "CP1202": "engine argument missing",
    "CP1203": "key names an unknown column",
    "CP1204": "sorting key is nullable",
    "CP1205": "version is part of the sorting key",
    "CP1206": "index cannot be parsed",
    "CP1207": "partition key creates very many partitions",
    "CP1301": "node without SQL",
    "CP1302": "more than one published node in a pipe",
    "CP1303": "required directive missing for this type of pipe",
    "CP1304": "pipe without a node",
    "CP1305": "schedule not valid",
    "CP2001": "name used twice",
    "CP2002": "name not valid",
    "CP2003": "unknown data source or pipe",
    "CP2004": "pipes read each other in a cycle",
    "CP2005": "file cannot be read",
    "CP2006": "no datafiles found",
    "CP2007": "connection not in the project",
    "CP2008": "node is not used",
    "CP2009": "service data source not available yet",
    "CP2010": "data source not in the project",
    "CP3001": "template cannot be parsed",
    "CP3002": "unknown template function",
    "CP3003": "wrong template call",
    "CP3004": "template fails with its default values",
    "CP3005": "parameters are not allowed here",
    "CP3006": "parameter name is reserved",
    "CP3007": "template without the leading %",
    "CP3008": "unknown keyword or item type in a template call",
    "CP3009": "parameter with two types",
    "CP4001": "SQL cannot be parsed",
    "CP4002": "SQL does not type-check",
    "CP4003": "only SELECT is allowed",
    "CP4004": "table function or table not allowed",
    "CP4005": "column missing in the target data source",
    "CP4006": "column type differs from the target data source",
    "CP4007": "data source cannot be created",
    "CP4008": "columns depend on the parameters",
    "CP4009": "events cannot be written to a column",
}

CODES: dict[str, CodeInfo] = {code: CodeInfo(code, title) for code, title in _TITLES.items()}
