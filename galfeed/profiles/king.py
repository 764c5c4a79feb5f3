"""Modified King profile (Elson 1999; Peng et al. 2010, AJ 139, 2097, eq. 15): its menu.  Not modelled yet."""

from __future__ import annotations

from dataclasses import replace

from galfeed.job import ParamSpec
from galfeed.profiles._profile import AT_BREAK, AXIS_RATIO, CENTRAL, POSITION_ANGLE, Profile, X, Y

NO_CARD = replace(CENTRAL, header="", comment="")  # GALFIT writes none for the surface brightness of a king

PROFILE = Profile(
    name="king",
    params=(
        X,
        Y,
        NO_CARD,
        ParamSpec("4", "rc", "RC", "Core radius [pixels]", "      Rc      [pix]", "pix"),
        ParamSpec("5", "rt", "RT", "Truncation radius [pixels]", "      Rt      [pix]", "pix"),
        ParamSpec("6", "alpha", "ALPHA", "Powerlaw alpha", "    Alpha "),
        AXIS_RATIO,
        POSITION_ANGLE,
    ),
    surface={1: CENTRAL, 2: replace(NO_CARD, menu="  Surface brightness at Rc  [mag/arcsec^2]"), 3: AT_BREAK},
    anchors={0: ""},
)
