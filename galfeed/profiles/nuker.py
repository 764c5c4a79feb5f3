"""Nuker profile (Lauer et al. 1995; Peng et al. 2010, AJ 139, 2097, eq. 10): its menu.  Not modelled yet."""

from __future__ import annotations

from dataclasses import replace

from galfeed.job import ParamSpec
from galfeed.profiles._profile import (
    AT_BREAK_RADIUS,
    AXIS_RATIO,
    CENTRAL,
    POSITION_ANGLE,
    Profile,
    X,
    Y,
    surface_brightness,
)

AT_RB = surface_brightness("MU", "Surface brightness at Rb", "     Mu(Rb)   [mag/arcsec^2]")

PROFILE = Profile(
    name="nuker",
    params=(
        X,
        Y,
        AT_RB,
        ParamSpec("4", "rb", "RB", "Break radius Rb [pixels]", "      Rb      [pix]", "pix"),
        ParamSpec("5", "alpha", "ALPHA", "alpha", "     Alpha "),
        ParamSpec("6", "beta", "BETA", "beta", "      Beta "),
        ParamSpec("7", "gamma", "GAMMA", "gamma", "     Gamma "),
        AXIS_RATIO,
        POSITION_ANGLE,
    ),
    surface={1: replace(CENTRAL, menu=AT_RB.menu), 3: AT_BREAK_RADIUS},
    anchors={0: "rb"},
)
