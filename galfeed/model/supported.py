"""What cannot be drawn with the images at hand; free of torch, so that a refusal comes at once."""

from __future__ import annotations

from galfeed.errors import FeedmeError
from galfeed.job import Job


def check_stars(job: Job, *, fitted: bool) -> tuple[str, ...]:
    """What to say of point sources where there is no PSF image: nothing is drawn of them.

    Raises:
        FeedmeError: they are to be fitted.
    """
    stars = [component for component in job.components if component.kind == "psf"]
    if stars and fitted:
        raise FeedmeError(job.path, stars[0].line, "a psf component needs a PSF image, expected one at D)")
    return tuple(f"{job.path}:{star.line}: no PSF image, so nothing is drawn of this psf component" for star in stars)
