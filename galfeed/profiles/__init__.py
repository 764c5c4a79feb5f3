"""The functions that ``0)`` accepts, one file each.

A file of this folder declares ``PROFILE``; it is found here by its name and nothing else has to be told.
No module of this folder imports torch: the mathematics is written with tensor methods, so that reading a menu stays
fast.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from galfeed.profiles._profile import BREAK, IMAGE, STEEP, Blank, Profile, Sampling


def _collect() -> dict[str, Profile]:
    found: dict[str, Profile] = {}
    for module in sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_")):
        profile: Profile = import_module(f"{__name__}.{module}").PROFILE
        if profile.name in found:
            raise ImportError(f"two profiles are named {profile.name!r}")
        found[profile.name] = profile
    return found


PROFILES: dict[str, Profile] = _collect()
"""All functions by name."""

__all__ = ["BREAK", "IMAGE", "PROFILES", "STEEP", "Blank", "Profile", "Sampling"]
