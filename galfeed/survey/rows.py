"""What a batch knows of each of its jobs: a row of the catalogue, made of numbers and words that JSON can hold."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from types import NoneType
from typing import Any, NamedTuple

from galfeed.job import ParamRef
from galfeed.onejob import Loaded
from galfeed.output import names, record
from galfeed.output.header import parameter_at
from galfeed.output.names import FIT
from galfeed.result import FitResult, Status
from galfeed.survey.entries import Entry
from galfeed.tables import header_specs

FAILED = "failed"
"""The status of a job that has no result; that of others is a name of ``Status``, in lower case."""

Row = dict[str, Any]
"""A row: ``PLAIN`` and, under "values", for each number of the components a :class:`Number` by its header keyword.

Numbers that are not finite are None.
"""

PLAIN = {
    "menu": str,
    "status": str,
    "exit_code": int,
    "doubtful": bool,
    "flags": str,
    "chi2": float,
    "ndof": int,
    "chi2nu": float,
    "iterations": int,
    "attempts": int,
    "warnings": int,
    "message": str,
    "output": str,
    "restart": str,
    "components": str,
}
"""Words of a row that every job has, with their types; None where there is nothing to say."""


class Number(NamedTuple):
    """One number of a component.

    Args:
        value: in its unit.
        error: by GALFIT's rule; of free ones.
        standard_error: the usual one, sqrt(C_ii chi^2/nu).
        state: "free", "fixed" or "tied".
        suspicious: GALFIT would star it.
        unit: as ``ParamSpec`` has it.
    """

    value: float | None
    error: float | None
    standard_error: float | None
    state: str
    suspicious: bool
    unit: str


HELD: tuple[Any, ...] = ((float, NoneType), (float, NoneType), (float, NoneType), str, bool, str)
"""Types of the fields of a :class:`Number`."""


def failed(entry: Entry, code: int, message: str) -> Row:
    """The row of a job without a result: wrong input, or a fit or outputs that came to nothing."""
    return dict.fromkeys(PLAIN) | {
        "menu": entry.menu,
        "status": FAILED,
        "exit_code": code,
        "doubtful": False,
        "message": message,
        "values": {},
    }


def row(
    entry: Entry, loaded: Loaded, result: FitResult, said: Sequence[str], wanted: frozenset[str], restart: str | None
) -> Row:
    """The row of a fitted job.

    Args:
        said: warnings and doubts.
        wanted: outputs, words of ``names.OUTPUTS``.
        restart: name of the restart file; None if none is written.
    """
    status = result.status
    plain = failed(entry, 1 if status.failed else 0, status.value if status.failed else "")
    plain |= {
        "status": status.name.lower(),
        "iterations": result.iterations,
        "attempts": result.attempts,
        "warnings": len(said),
    }
    if status.failed:
        return plain
    fitted = loaded.mode == FIT and status is not Status.NOTHING_FREE
    values = _values(result, loaded, fitted)
    image = names.image(loaded.job.control.output, loaded.mode) if names.IMAGE in wanted else None
    doubt = status in (Status.MAX_ITERATIONS, Status.STALLED) or any(n.suspicious for n in values.values())
    return plain | {
        "doubtful": fitted and doubt,
        "flags": " ".join(result.flags),
        "chi2": _finite(result.chi2),
        "ndof": result.ndof,
        "chi2nu": _finite(result.chi2nu),
        "output": _under(entry, image),
        "restart": _under(entry, restart),
        "components": " ".join(component.word for component in result.job.components),
        "values": values,
    }


def _values(result: FitResult, loaded: Loaded, fitted: bool) -> dict[str, Number]:
    usual = dict(zip(result.free, result.standard_errors.tolist(), strict=True)) if fitted else {}
    found: dict[str, Number] = {}
    for component in result.job.components:
        for key, spec in header_specs(component).items():
            if not spec.header:
                continue
            parameter = parameter_at(component, key)
            word = f"{component.number}_{spec.header}".upper()
            if word in found:  # alpha of a nuker, and of its rotation
                word = f"{component.number}_{spec.name}".upper()
            found[word] = Number(
                _finite(parameter.value),
                _finite(parameter.error) if fitted and parameter.free else None,
                _finite(usual.get(ParamRef(component.number, key))),
                record.state(parameter),
                record.starred(component, key, parameter, loaded.exposure.region),
                spec.unit,
            )
    return found


def is_row(found: Any) -> bool:
    """Whether what was read from a journal is a row."""
    if not isinstance(found, dict) or not isinstance(found.get("values"), dict):
        return False
    plain = all(word in found and isinstance(found[word], (kind, NoneType)) for word, kind in PLAIN.items())
    return plain and all(map(_is_number, found["values"].values()))


def _is_number(found: Any) -> bool:
    return len(found) == len(HELD) and all(isinstance(part, kind) for part, kind in zip(found, HELD, strict=True))


def _under(entry: Entry, name: str | None) -> str | None:
    return None if name is None else os.path.join(entry.folder, name)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
