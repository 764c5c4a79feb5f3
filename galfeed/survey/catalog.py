"""The catalogue of a batch: a row a job, a column a number, in one of astropy's formats or Parquet."""

from __future__ import annotations

import importlib.util
import io
import math
from array import array
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

KINDS = {"state": str, "suspicious": bool}
"""Of fields that are no plain numbers."""

NOTHING: dict[type, Any] = {float: math.nan, str: "", bool: False, int: -(2**63)}
"""What stands for None while a column grows."""

CODES = {float: "d", bool: "b", int: "q"}
"""Of the module ``array``."""

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

    plain = {word: _Column(kind) for word, kind in PLAIN.items()}
    numbers: dict[str, dict[str, _Column]] = {}
    units: dict[str, str] = {}
    count = 0
    for row in rows:
        for word, column in plain.items():
            column.put(count, row[word])
        for word, values in row["values"].items():
            number = Number(*values)
            if word not in numbers:
                numbers[word] = {field: _Column(KINDS.get(field, float)) for field in PARTS.values()}
                units[word] = number.unit
            for field, column in numbers[word].items():
                column.put(count, getattr(number, field))
        count += 1
    made = Table(meta={"PROGRAM": f"galfeed {__version__}"})
    for word in PLAIN:
        made[word] = plain.pop(word).made(count)
    for word in sorted(numbers, key=lambda word: int(word.partition("_")[0])):
        unit, columns = units[word], numbers.pop(word)
        for ending, field in PARTS.items():
            made[word + ending] = columns.pop(field).made(count)
            if unit and field in WITH_UNIT:
                made[word + ending].unit = UNITS.get(unit, unit)
    return made


class _Column:
    """Values of one kind, in little memory.  None, or nothing: NaN, an empty word, False, a masked whole number."""

    def __init__(self, kind: type) -> None:
        self.kind, self.nothing = kind, NOTHING[kind]
        self.values: Any = [] if kind is str else array(CODES[kind])
        self.last = ("", "")

    def put(self, place: int, value: Any) -> None:
        """Put a value in its place, behind those that were put before."""
        self._fill(place)
        self.values.append(self.nothing if value is None else self._ascii(value) if self.kind is str else value)

    def made(self, count: int) -> np.ndarray:
        """So many values."""
        self._fill(count)
        if self.kind is str:
            return np.array(self.values or [""], dtype=str)[:count]
        found: np.ndarray = np.array(self.values).astype(self.kind)
        missing = found == self.nothing
        return np.ma.array(np.where(missing, 0, found), mask=missing) if self.kind is int and missing.any() else found

    def _fill(self, place: int) -> None:
        self.values.extend([self.nothing] * (place - len(self.values)))

    def _ascii(self, text: str) -> str:
        """A text that every format can hold; the one before, if it is the same, is not held twice."""
        if text != self.last[0]:
            self.last = (text, text.encode("ascii", "backslashreplace").decode())
        return self.last[1]


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
