"""Modified Ferrer profile (Peng et al. 2010, AJ 139, 2097, eq. 14): its menu.  Not modelled yet."""

from __future__ import annotations

from dataclasses import replace

from galfeed.job import ParamSpec
from galfeed.profiles._profile import (
    AT_BREAK,
    AXIS_RATIO,
    POSITION_ANGLE,
    X_SPACED,
    Profile,
    Y,
    surface_brightness,
)

CENTRE = surface_brightness("MU_0", "Central surface brightness", "  Central surface brghtness  [mag/arcsec^2]")

PROFILE = Profile(
    name="ferrer",
    params=(
        X_SPACED,
        Y,
        CENTRE,
        ParamSpec("4", "rout", "ROUT", "Outer radius [pixels]", "  Outer truncation radius  [pix]", "pix"),
        ParamSpec("5", "alpha", "ALPHA", "Alpha (outer truncation sharpness)", "  Alpha (outer truncation sharpness) "),
        ParamSpec("6", "beta", "BETA", "Beta (central slope)", "  Beta (central slope)"),
        AXIS_RATIO,
        POSITION_ANGLE,
    ),
    surface={
        2: replace(CENTRE, menu="  Surface brightness at FWHM [mag/arcsec^2]"),
        3: replace(CENTRE, menu=AT_BREAK.menu),
    },
    anchors={0: ""},
)
