"""The catalogue of a batch: a row a job, a column a number, in one of astropy's formats or Parquet."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galfeed import __version__
from galfeed.errors import GalfeedError
from galfeed.output import files
from galfeed.survey.rows import PLAIN, Number, Row

if TYPE_CHECKING:
    from astropy.table import Table

FORMATS = {".fits": "fits", ".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".parquet": "parquet"}
UNITS = {"ADU": "adu", "ADU/pix": "adu / pix"}
"""Units that FITS spells otherwise."""

PARTS = {"": "value", "_ERR": "error", "_STDERR": "standard_error", "_STATE": "state", "_SUSPECT": "suspicious"}
"""What is put behind the keyword of a number, and the field of :class:`Number` that the column holds."""

WITH_UNIT = ("value", "error", "standard_error")


def check(name: str) -> None:
    """See before a run whether its catalogue can be written.

    Raises:
        GalfeedError: an unknown kind of file, a library that is missing, or a place that cannot be written to.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in FORMATS:
        raise GalfeedError(f"--catalog: the name {name} should end in one of {', '.join(FORMATS)}")
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise GalfeedError(f"--catalog: {name} needs pyarrow: pip install 'galfeed[parquet]'")
    files.check_writable(Path(), name)


def prepare() -> None:
    """Import what :func:`write` needs, while there is time."""
    import astropy.table  # noqa: F401


def write(name: str, rows: Iterable[Row]) -> None:
    """Write the catalogue, whole or not at all.

    Args:
        name: its ending says the format.
        rows: in the order of the jobs.

    Raises:
        OutputError: it cannot be written.
    """
    files.replace(Path(name), _encoded(table(rows), FORMATS[Path(name).suffix.lower()]))


def table(rows: Iterable[Row]) -> Table:
    """The table of the rows: first what all have, then the numbers by component, absent ones masked or NaN."""
    from astropy.table import Table

    plain: dict[str, list[Any]] = {word: [] for word in PLAIN}
    numbers: dict[str, dict[int, Number]] = {}
    count = 0
    for row in rows:
        for word, values in plain.items():
            values.append(row[word])
        for word, number in row["values"].items():
            numbers.setdefault(word, {})[count] = Number(*number)
        count += 1
    made = Table(meta={"PROGRAM": f"galfeed {__version__}"})
    for word, values in plain.items():
        made[word] = _column(values, PLAIN[word])
    for word in sorted(numbers, key=lambda word: int(word.partition("_")[0])):
        found = numbers[word]
        unit = next(iter(found.values())).unit
        for ending, field in PARTS.items():
            kind = str if field == "state" else bool if field == "suspicious" else float
            column = _column([getattr(found[i], field) if i in found else None for i in range(count)], kind)
            made[word + ending] = column
            if unit and field in WITH_UNIT:
                made[word + ending].unit = UNITS.get(unit, unit)
    return made


def _column(values: list[Any], kind: type) -> np.ndarray:
    """Values of one kind, None where there is none: NaN, an empty word, False, or a masked whole number."""
    if kind is float:
        return np.array([math.nan if value is None else value for value in values], dtype=float)
    if kind is str:
        return np.array([_ascii(value or "") for value in values] or [""], dtype=str)[: len(values)]
    if kind is bool:
        return np.array([bool(value) for value in values], dtype=bool)
    missing = [value is None for value in values]
    whole = np.array([value or 0 for value in values], dtype=np.int64)
    return np.ma.array(whole, mask=missing) if any(missing) else whole


def _ascii(text: str) -> str:
    """A text that every format can hold."""
    return text.encode("ascii", "backslashreplace").decode()


def _encoded(made: Table, kind: str) -> bytes:
    if kind == "fits":
        buffer = io.BytesIO()
        made.write(buffer, format=kind)
        return buffer.getvalue()
    if kind.startswith("ascii"):
        lines = io.StringIO()
        made.write(lines, format=kind)
        return lines.getvalue().encode()
    return _parquet(made)


def _parquet(made: Table) -> bytes:
    """By pyarrow itself: astropy would write a second column for what is masked, where readers look for null."""
    import pyarrow
    from pyarrow import parquet

    arrays, fields = [], []
    for name in made.colnames:
        column = made[name]
        data, mask = np.ma.getdata(column), np.ma.getmask(column)
        arrays.append(
            pyarrow.array(data.tolist() if data.dtype.kind == "U" else data, mask=np.broadcast_to(mask, len(data)))
        )
        unit = {"unit": str(column.unit)} if column.unit else None
        fields.append(pyarrow.field(name, arrays[-1].type, metadata=unit))
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(fields, made.meta)), buffer)
    return buffer.getvalue()
