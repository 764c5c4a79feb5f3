"""Edge-on disk (van der Kruit & Searle 1981; Peng et al. 2010, AJ 139, 2097, eq. 16): its menu.  Not modelled yet."""

from __future__ import annotations

from dataclasses import replace

from galfeed.job import ParamSpec
from galfeed.profiles._profile import AT_BREAK, POSITION_ANGLE, Blank, Profile, X, Y, surface_brightness

CENTRE = surface_brightness("MU_0", "Central surface brightness", "     Mu(0)   [mag/arcsec^2]")

PROFILE = Profile(
    name="edgedisk",
    params=(
        X,
        Y,
        CENTRE,
        ParamSpec("4", "hs", "HS", "Scale-height [pixels]", "  h_s (disk scale-height)   [pix]", "pix"),
        ParamSpec("5", "rs", "RS", "Scale-length [pixels]", "  R_s (disk scale-length)   [pix]", "pix"),
        POSITION_ANGLE,
    ),
    surface={
        2: replace(CENTRE, menu="  Surface brightness at Rc  [mag/arcsec^2]"),
        3: replace(CENTRE, menu=AT_BREAK.menu),
    },
    anchors={0: ""},
    blanks={"9": Blank(toggle=-1)},
)
