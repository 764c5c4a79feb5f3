"""What cannot be drawn with the images at hand; free of torch, so that a refusal comes at once."""

from __future__ import annotations

from galfeed.errors import FeedmeError, Remark
from galfeed.job import Job


def check_stars(job: Job, *, fitted: bool) -> tuple[Remark, ...]:
    """What to say of point sources where there is no PSF image: nothing is drawn of them.

    Raises:
        FeedmeError: they are to be fitted.
    """
    stars = [component for component in job.components if component.kind == "psf"]
    if stars and fitted:
        raise FeedmeError(job.path, stars[0].place(), "a psf component needs a PSF image, expected one at D)")
    what = "no PSF image, so nothing is drawn of this psf component"
    return tuple(Remark(job.path, star.place(), what) for star in stars)
