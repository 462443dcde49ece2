"""Inserts staged rows into a data source with all its views, and into its quarantine, atomically.

Rows that a view or the table refuses are found and go to quarantine with the reason; all others are written.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from clickpipe.engine import ONE_BLOCK, Engine, EngineError, Params
from clickpipe.ingest.judge import is_passing
from clickpipe.ingest.kept import Kept
from clickpipe.ingest.lacking import tell_of_lack, write_lacking
from clickpipe.ingest.mapping import IN_ONE_BLOCK
from clickpipe.ingest.narrow import TRIES, Narrowed, Refused, narrow
from clickpipe.ingest.numbered import Prepared, numbered_rows, prepared
from clickpipe.ingest.probe import Probe
from clickpipe.ingest.staged import Inserted, StagedRows
from clickpipe.ingest.writes import Sever, execute_patiently, never, retarget, write

_LOGGER = logging.getLogger(__name__)
_FEW = 4  # rows that are written at once where a view may take them and refuse them
AT_ONCE = 3  # concurrent probes for refused rows


def insert_staged(
    engine: Engine,
    rows: StagedRows,
    *,
    known: Narrowed | None = None,
    keep: Callable[[Narrowed], None] = lambda _: None,
    sever: Sever = never,
) -> Inserted:
    """Write staged rows; repeating it with the same token writes nothing twice.

    `keep` is called with the refused rows before any row is written; after a restart, `known` is what it was called
    with. `sever` cuts off a standby deployment whose view made an insert fail (`Deploying.sever_standby`). Raises
    EngineError and OSError; then the result is unknown, and the call has to be repeated.
    """
    if rows.good and rows.kept is not None and (known.once if known else True) and (kept := rows.kept()) is not None:
        found = _write_kept(engine, rows, kept, known, keep, sever)
    elif rows.good:
        found = _write_asking(engine, rows, known, keep, sever)
    else:
        found = Inserted()
    if rows.bad:
        write(engine, rows.mapping.bad + _order(rows), rows.token, sever)
    return found


def _order(rows: StagedRows) -> str:
    return "" if rows.one_block else IN_ONE_BLOCK


def _write_asking(
    engine: Engine, rows: StagedRows, known: Narrowed | None, keep: Callable[[Narrowed], None], sever: Sever
) -> Inserted:
    """Write the fitting rows with one insert, in which the views run again."""
    if (
        known is None
        and rows.ahead
        and (error := _probed(engine, rows.probe(), rows.mapping.good_of(rows.mapping.table)))
    ):
        known = _narrowed(engine, rows, error)
        keep(known)
    if known is None and rows.kept is not None:  # once begun in this way, it must be completed in this way
        known = Narrowed(())
        keep(known)
    if known is None:
        try:
            write(engine, rows.mapping.good + _order(rows), rows.token, sever)
        except EngineError as error:
            if rows.ahead:  # the table may have all of them now, so never check them again
                keep(Narrowed(()))
                raise
            if is_passing(error):
                raise
            known = _narrowed(engine, rows, error)
            keep(known)
    return _write_rest(engine, rows, known, sever) if known is not None else Inserted()


def _write_kept(
    engine: Engine,
    rows: StagedRows,
    kept: Kept,
    known: Narrowed | None,
    keep: Callable[[Narrowed], None],
    sever: Sever,
) -> Inserted:
    """Write the fitting rows together with what the views made of them when they were checked."""
    mapping = rows.mapping
    refused: tuple[Refused, ...] = known.refused if known else ()
    restored = known is not None and rows.file is not None and kept.restore(rows.file.read())
    error = kept.take(mapping.good) if not refused and not restored else None
    if not restored and (refused or error is not None):
        with numbered_rows(engine, mapping) as (table, count):
            rest, params = _without(table, refused)
            with prepared(engine, mapping, rest, params) as fitting:
                if error is not None and kept.take(fitting.some(0, 0)) is not None:
                    raise error  # the error is not about rows
                found = kept.gather(fitting.some, len(fitting.numbers), again=known is not None, lacking=rows.lacking)
        if found:
            refused = tuple(replace(one, row=fitting.numbers[one.row]) for one in found)
            where, why = refused[0].where, refused[0].why
            _LOGGER.warning("%d of %d rows are refused by %s, and go to quarantine: %s", len(found), count, where, why)
    if known is None:
        if rows.file is not None:
            rows.file.write(kept.dump())
        keep(Narrowed(refused, once=True))
    kept.write(rows.token)
    if not refused:
        return Inserted()
    with numbered_rows(engine, mapping) as (table, _count):
        return _write_refused(engine, rows, refused, table, sever)


def _probed(engine: Engine, probe: Probe, statement: str, params: Params | None = None) -> EngineError | None:
    """Return the error with which the views or table refuse an insert, or None. Raises temporary EngineErrors."""
    return _tried(lambda: execute_patiently(engine, retarget(statement, probe.table), ONE_BLOCK, params))


def _tried(insert: Callable[[], None]) -> EngineError | None:
    try:
        insert()
    except EngineError as error:
        if is_passing(error):
            raise
        return error
    return None


def _narrowed(engine: Engine, rows: StagedRows, error: EngineError) -> Narrowed:
    """Find the rows that make an insert fail. Raises the error if no row is to blame."""
    mapping, probe = rows.mapping, rows.probe()
    with numbered_rows(engine, mapping) as (table, count):
        each = _refused_by_each(engine, rows, table, error) if rows.kept is None else None
        found = each or _refused_by_all(engine, rows, table, error)
    where, why = probe.refused_by(error)
    refused = len(found.refused)
    _LOGGER.warning("%d of %d rows are refused by %s, and go to quarantine: %s", refused, count, where, why)
    return found


def _refused_by_each(engine: Engine, rows: StagedRows, table: str, error: EngineError) -> Narrowed | None:
    """Find them by probing only the view or table that refuses; None if rows are refused only in combination."""
    mapping, refused = rows.mapping, list[Refused]()
    while True:
        rest, params = _without(table, refused)
        with rows.probe().only(error) as one, prepared(engine, mapping, rest, params) as fitting:
            found, _ = narrow(partial(_look, engine, one, fitting), len(fitting.numbers), AT_ONCE)
            if not found or _look(engine, one, fitting, 0, 0) is not None:
                return None
            refused += [replace(one, row=fitting.numbers[one.row]) for one in found]
        rest, params = _without(table, refused)
        again = _probed(engine, rows.probe(), mapping.good_of(rest), params)
        if again is None:
            return Narrowed(tuple(sorted(refused, key=lambda one: one.row)))
        error = again


def _refused_by_all(engine: Engine, rows: StagedRows, table: str, error: EngineError) -> Narrowed:
    """Find them by probing the table and all views together; if these take each row, in a table like the real one."""
    if rows.ahead or rows.kept is not None:
        return _refused_by(engine, rows, rows.probe(), table, error)
    try:
        if (found := _refused_by(engine, rows, rows.probe(), table, error)).refused:
            return found
    except EngineError as again:
        if again is not error:
            raise
    with rows.probe().real() as like_it:  # what refuses them is its engine, a codec, a TTL
        return _refused_by(engine, rows, like_it, table, error)


def _refused_by(engine: Engine, rows: StagedRows, probe: Probe, table: str, error: EngineError) -> Narrowed:
    """Find them by inserting ranges of rows into a probe. Raises the error if no row is to blame."""
    with prepared(engine, rows.mapping, table) as fitting:
        look, numbers = partial(_look, engine, probe, fitting), fitting.numbers
        found, free = narrow(look, len(numbers), AT_ONCE)
        refused = [replace(one, row=numbers[one.row]) for one in found]
        taken = [(numbers[first], numbers[end - 1] + 1) for first, end in free]
        none_taken = look(0, 0) is not None  # then the error is not about rows
        if none_taken or (not refused and len(taken) < 2):  # noqa: PLR2004 - or what was refused is taken now
            raise error
        pieces = tuple(taken)
        if rows.kept is not None:  # each of a few rows is taken again soon, all together perhaps never
            pieces = tuple((at, min(at + _FEW, end)) for first, end in taken for at in range(first, end, _FEW))
        elif refused:
            rest, params = _without(table, refused)
            if _probed(engine, probe, rows.mapping.good_of(rest), params) is None:
                pieces = ()
    return Narrowed(tuple(refused), pieces)


def _look(engine: Engine, probe: Probe, fitting: Prepared, first: int, end: int) -> tuple[str, str] | None:
    """Return who refuses these rows and why, or None if they are accepted."""
    statement, settings = fitting.insert(first, end, probe.table)
    found = _tried(lambda: execute_patiently(engine, statement, settings))
    return probe.refused_by(found) if found is not None else None


def _write_rest(engine: Engine, rows: StagedRows, known: Narrowed, sever: Sever) -> Inserted:
    """Write the accepted rows, and put the refused ones in quarantine."""
    with numbered_rows(engine, rows.mapping) as (table, _count):
        lacking: list[Refused] = []
        if known.pieces:
            tries = TRIES if rows.kept is not None else 1
            for first, end in known.pieces:
                some = f"(SELECT * FROM {table} WHERE __row >= {first} AND __row < {end})"
                lacking += _write_some(engine, rows, some, {}, f"{rows.token}/{first}-{end}", sever, tries)
        else:
            rest, params = _without(table, known.refused)
            lacking = _write_some(engine, rows, rest, params, rows.token, sever)
        found = _write_refused(engine, rows, known.refused, table, sever) if known.refused else Inserted()
        return replace(found, lack=tell_of_lack(rows.probe().names[0], lacking)) if lacking else found


def _write_some(
    engine: Engine, rows: StagedRows, some: str, params: Params, token: str, sever: Sever, tries: int = 1
) -> list[Refused]:
    """Write rows that are taken on their own, in several tries; return those that a view lacks, if that may be."""
    statement = rows.mapping.good_of(some)
    for left in reversed(range(tries)):
        try:
            write(engine, statement + IN_ONE_BLOCK, token, sever, params)
        except EngineError as error:
            if is_passing(error) or (not left and not rows.lacking):
                raise
            if left:
                continue
            with prepared(engine, rows.mapping, some, params) as fitting:
                look = partial(_look, engine, rows.probe(), fitting)
                run = partial(write, engine, token=token, sever=sever, params=params)
                found = write_lacking(fitting, look, statement, lambda sql, how, run=run: run(sql, how=how))  # type: ignore[misc]
            if not found:
                raise
            return found
        else:
            break
    return []


def _write_refused(
    engine: Engine, rows: StagedRows, refused: tuple[Refused, ...], table: str, sever: Sever
) -> Inserted:
    """Write rows to quarantine by their numbers in `table`."""
    params = _lists(refused)
    there = (
        "(SELECT *, arrayElement({where:Array(String)}, __at) AS __where, "
        "arrayElement({why:Array(String)}, __at) AS __why "
        f"FROM (SELECT *, indexOf({{rows:Array(UInt64)}}, __row) AS __at FROM {table}) "
        "WHERE __at > 0)"
    )
    write(engine, rows.mapping.refused_of(there) + IN_ONE_BLOCK, f"{rows.token}/refused", sever, params)
    sql = f"SELECT __import_id, count(), any(__why) FROM {there} GROUP BY __import_id"
    body = engine.execute(sql, params, output="JSONCompact").body
    return Inserted({name: (int(count), why) for name, count, why in json.loads(body)["data"]})


def _without(table: str, refused: tuple[Refused, ...] | list[Refused]) -> tuple[str, Params]:
    params: Params = {"rows": [one.row for one in refused]}
    return f"(SELECT * FROM {table} WHERE __row NOT IN {{rows:Array(UInt64)}})", params


def _lists(refused: tuple[Refused, ...]) -> dict[str, Any]:
    return {
        "rows": [one.row for one in refused],
        "where": [one.where for one in refused],
        "why": [f"{one.where} refuses the row: {one.why}" for one in refused],
    }
