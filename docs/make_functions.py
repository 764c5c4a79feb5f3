"""Writes docs/functions.md from the tables of the program.

python docs/make_functions.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from galfeed.job import ParamSpec
from galfeed.model import shape, truncation
from galfeed.profiles import BREAK, PROFILES, Profile

PAGE = Path(__file__).with_name("functions.md")
HEAD = """\
# Functions and parameters

Made by `python docs/make_functions.py` from the tables that the parser and the writers use; `tests/test_docs.py` asks
for it to be up to date. The key is that of the menu, the word that of the FITS header, after `n_`.

"""
TABLE = "| key | word | unit | what it is |\n|---|---|---|---|\n"
HIDDEN = """\
## Shapes

Any function but `edgedisk`, `psf` and `sky` may have them, and truncations all but the rotation.

"""
TRUNCATION = """\
## Truncations

`T0)` is `radial`, `length` or `height`; a `2` makes its two numbers radii, `-b` keeps it in the plane of the sky.
Components name it by its number, after `Ti)` (cut inside) or `To)` (cut outside).

"""


def page() -> str:
    """The whole text."""
    parts = [HEAD]
    for name, profile in PROFILES.items():
        parts.append(f"## {name}\n\n{_equation(profile)}\n\n{_table(profile.specs())}{_variants(profile)}\n")
    hidden = [*shape.rotation("power"), shape.rotation("log")[3], shape.C0, shape.bending(2), *shape.fourier(1)]
    parts.append(HIDDEN + _table(hidden) + "\n")
    parts.append(TRUNCATION + _table((*truncation.specs("radial"), truncation.OUTER_BREAK)))
    return "".join(parts)


def _equation(profile: Profile) -> str:
    """The docstring of the file that declares a profile."""
    module = sys.modules[f"galfeed.profiles.{profile.name}"]
    text = " ".join((module.__doc__ or "").split())
    return text.replace("|", "\\|")


def _table(specs: tuple[ParamSpec, ...] | list[ParamSpec]) -> str:
    rows = (f"| `{_key(spec)}` | {spec.header or '-'} | {spec.unit} | {_what(spec)} |\n" for spec in specs)
    return TABLE + "".join(rows)


def _key(spec: ParamSpec) -> str:
    key = spec.key.upper()
    if key.startswith("F"):
        return f"{key[:-1]})"
    return f"{key})"


def _what(spec: ParamSpec) -> str:
    return (spec.comment or spec.menu).strip()


def _variants(profile: Profile) -> str:
    """Where a surface brightness is meant, by digit."""
    if not profile.anchors:
        return ""
    if profile.kind == "edge":
        return "\n`3)` is the central surface brightness; with a digit 2 or 3 a truncation says where it is meant.\n"
    places = {"": "the centre", BREAK: "the break radius of the truncation"}
    named = {spec.name: f"`{spec.key})`" for spec in profile.params} | {"sigma": "sigma"}
    where = [
        f"`{profile.name}{variant or ''}` at {places.get(anchor) or named[anchor]}"
        for variant, anchor in profile.anchors.items()
    ]
    return f"\n`3)` is the surface brightness for {', '.join(where)}.\n"


if __name__ == "__main__":
    PAGE.write_text(page())
