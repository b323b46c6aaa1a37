"""Every kind of frame that the kit takes, made of one pandas frame, and two frames compared by
value."""

import math

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa

from bigdata_ai.data.frames import to_arrow

LOCAL = {
    "pandas": lambda frame: frame,
    "polars": lambda frame: pl.from_arrow(arrow(frame)),
    "polars-lazy": lambda frame: pl.from_arrow(arrow(frame)).lazy(),
    "pyarrow": lambda frame: arrow(frame),
    "duckdb": lambda frame: duckdb.from_arrow(arrow(frame)),
}


def arrow(frame):
    "NaN of pandas becomes null; a column of gaps alone keeps its type."
    return pa.Table.from_pandas(frame, preserve_index=False)


def plain(value):
    """A value that compares equal on every engine: one kind of gap, numbers as float, moments in
    UTC."""
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if hasattr(value, "isoformat"):
        moment = pd.Timestamp(value)
        return (moment.tz_convert("UTC").tz_localize(None) if moment.tz else moment).isoformat()
    return value if isinstance(value, str) else float(value)


def rows(frame, by=None, digits=9):
    "All rows as plain values, sorted by a column where the engine has no order."
    table = to_arrow(frame)
    found = [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]
    found = [
        {
            name: float(f"{value:.{digits}g}") if isinstance(value, float) else value
            for name, value in row.items()
        }
        for row in found
    ]
    return sorted(found, key=lambda row: row[by]) if by else found
