"""Point source: the PSF image itself, moved to the position of the source.

Peng et al. 2010 (AJ 139, 2097), section 3.8.  How the PSF is moved: ``galfeed.model.psf``.
"""

from __future__ import annotations

from dataclasses import replace

from galfeed.profiles._profile import (
    AT_BREAK,
    AXIS_RATIO,
    CENTRAL,
    POSITION_ANGLE,
    X_SPACED,
    Blank,
    Profile,
    Y,
    magnitude,
)

PROFILE = Profile(
    name="psf",
    params=(X_SPACED, Y, magnitude()),
    surface={
        variant: replace(magnitude(), header=spec.header, comment=spec.comment)
        for variant, spec in ((1, CENTRAL), (3, AT_BREAK))
    },
    kind="point",
    blanks={"9": Blank(AXIS_RATIO.menu, toggle=-1), "10": Blank(POSITION_ANGLE.menu, toggle=-1)},
)
