"""Which valid menus can be modelled; free of torch, so that a refusal comes at once."""

from __future__ import annotations

from galfeed.errors import FeedmeError, UnsupportedError
from galfeed.job import Component, Job
from galfeed.profiles import PROFILES


def check(job: Job, has_psf: bool) -> None:
    """Refuse what is valid GALFIT but cannot be modelled yet, by name and line.

    Args:
        has_psf: a PSF image was read.

    Raises:
        UnsupportedError: names file, line and what it is.
        FeedmeError: a point source without a PSF.
    """
    for component in job.components:
        what = _unsupported(component)
        if what:
            raise UnsupportedError(job.path, component.line, f"{what} not supported yet")
        if component.kind == "psf" and not has_psf:
            raise FeedmeError(job.path, component.line, "a psf component needs a PSF image, expected one at D)")


def _unsupported(component: Component) -> str:
    if component.is_truncation:
        return f"truncation '{component.name}' is"
    profile = PROFILES[component.kind]
    if profile.kind == "radial" and profile.intensity is None:
        return f"component '{component.name}' is"
    if profile.kind == "radial" and component.variant and component.variant not in profile.anchors:
        return f"component '{component.name}' is"
    hidden = {
        "bending modes B1), B2), ... are": component.bending,
        "Fourier modes F1), F2), ... are": component.fourier,
        "coordinate rotation R0) to R10) is": component.rotation,
        "truncation Ti) and To) is": component.inner + component.outer,
    }
    return next((text for text, given in hidden.items() if given), "")
