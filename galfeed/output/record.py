"""A result as JSON, for programs: what the headers and ``fit.log`` say in GALFIT's marks, and what they leave out.

``docs/json.md`` describes each word.  Numbers that are not finite are null.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from galfeed import __version__
from galfeed.job import Component, Parameter, ParamRef
from galfeed.output.header import counts, parameter_at
from galfeed.output.marks import Region, suspicious
from galfeed.result import FitResult
from galfeed.tables import header_specs

if TYPE_CHECKING:
    from galfeed.images.exposure import Exposure

FORMAT = 1
"""Raised when a word changes its meaning or goes; new words may come without."""


def file_name(output: str) -> str:
    """The name of the record beside an output: ``imgblock.json`` for ``imgblock.fits``."""
    return re.sub(r"\.(fits?|fts)(\.gz)?$", "", output, flags=re.I) + ".json"


def dump(
    result: FitResult,
    exposure: Exposure,
    output: str | None,
    restart: str | None,
    warnings: Sequence[str],
    accuracy: str,
) -> str:
    """The record of one job.

    Args:
        result: of the fit, successful or not.
        exposure: what was read.
        output: the image that was written, as the menu names it; None if none was.
        restart: the restart file; None if none was written.
        warnings: what was said on stderr.
        accuracy: "galfit" or "exact".
    """
    job, status = result.job, result.status
    control = job.control
    free, fixed = counts(job)
    usual = dict(zip(result.free, result.standard_errors.tolist(), strict=True))
    record = {
        "program": f"galfeed {__version__}",
        "format": FORMAT,
        "menu": job.path,
        "status": status.name.lower(),
        "message": status.value,
        "solution": not status.failed,
        "warnings": list(warnings),
        "accuracy": accuracy,
        "iterations": result.iterations,
        "attempts": result.attempts,
        "chi2": result.chi2,
        "ndof": result.ndof,
        "chi2nu": result.chi2nu,
        "nfree": free,
        "nfix": fixed,
        "flags": list(result.flags),
        "region": list(exposure.region),
        "zeropoint": control.zeropoint,
        "plate_scale": list(control.plate_scale),
        "exptime": exposure.exptime,
        "sky_mean": exposure.sky_mean,
        "sky_rms": exposure.sky_rms,
        "files": {
            "data": None if exposure.data is None else control.data,
            "sigma": control.sigma,
            "psf": control.psf,
            "kernel": control.kernel,
            "mask": control.mask,
            "constraints": control.constraints,
            "output": None if status.failed else output,
            "restart": restart,
        },
        "components": [_component(component, usual, exposure.region) for component in job.components],
        "covariance": {
            "parameters": [_word(job.components[ref.component - 1], ref.key) for ref in result.free],
            "matrix": result.covariance.tolist(),
        },
    }
    return json.dumps(_finite(record), indent=1) + "\n"


def _component(component: Component, usual: dict[ParamRef, float], region: Region) -> dict[str, Any]:
    return {
        "number": component.number,
        "type": component.printed_name,
        "skipped": bool(component.skip),
        "inner_truncations": list(component.inner),
        "outer_truncations": list(component.outer),
        "rotation": component.rotation.function if component.rotation is not None else None,
        "parameters": {
            spec.name: {
                **_number(component, key, parameter_at(component, key), region),
                "standard_error": usual.get(ParamRef(component.number, key)),
                "unit": spec.unit,
                "header": f"{component.number}_{spec.header}" if spec.header else None,
            }
            for key, spec in header_specs(component).items()
        },
    }


def _number(component: Component, key: str, parameter: Parameter, region: Region) -> dict[str, Any]:
    return {
        "value": parameter.value,
        "state": state(parameter),
        "suspicious": starred(component, key, parameter, region),
        "error": parameter.error if parameter.free else None,
    }


def state(parameter: Parameter) -> Literal["tied", "free", "fixed"]:
    return "tied" if parameter.tied else "free" if parameter.toggle > 0 else "fixed"


def starred(component: Component, key: str, parameter: Parameter, region: Region) -> bool:
    """Whether a number is free and has a value that GALFIT would put stars around."""
    return parameter.free and suspicious(component, key, parameter.value, region)


def _word(component: Component, key: str) -> str:
    """A parameter as the covariance names it: ``1_xc``."""
    return f"{component.number}_{header_specs(component)[key].name}"


def _finite(record: Any) -> Any:
    """The same record with null for numbers that JSON has no words for."""
    if isinstance(record, dict):
        return {word: _finite(value) for word, value in record.items()}
    if isinstance(record, list):
        return [_finite(value) for value in record]
    return None if isinstance(record, float) and not math.isfinite(record) else record
