"""README names every function and every option; the page of functions is that of the tables."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from simulate import component, image, job, star, truncation

from galfeed.cli import main
from galfeed.profiles import PROFILES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def options(capsys: pytest.CaptureFixture[str]) -> set[str]:
    assert main(["-help"]) == 0
    return set(re.findall(r"^ +(--?[a-z]\w*)", capsys.readouterr().out, re.MULTILINE))


@pytest.mark.parametrize("name", PROFILES)
def test_every_function_is_in_the_table(name):
    assert re.search(rf"^\| `{name}` \| yes", README, re.MULTILINE), f"README's table of functions lacks {name}"


def test_the_page_of_functions_is_up_to_date():
    page = runpy.run_path(str(ROOT / "docs" / "make_functions.py"))["page"]()
    assert (ROOT / "docs" / "functions.md").read_text() == page, "run python docs/make_functions.py"


def test_every_option_is_named(capsys):
    known = options(capsys)
    assert {"-imax", "-o1", "-outsig"} <= known
    missing = {option for option in known if not re.search(rf"`{option}( [^`]+)?`", README)}
    assert not missing


def test_the_two_commands_are_one_line_each():
    commands = re.findall(r"^python3 -m venv .*", README, re.MULTILINE)
    assert [c.split("&&")[-1].split("/")[-1] for c in commands] == ["galfeed galfit.feedme", "pytest"]


@pytest.fixture
def profile():
    """The profile that CONTRIBUTING adds."""
    names: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[1], names)
    return names["PROFILE"]


def test_the_example_profile_is_one(profile):
    r = torch.linspace(0, 2000, 2_000_001, dtype=torch.float64)
    light = profile.intensity(r, a=torch.tensor(2.0))
    assert light[0] == 1
    assert torch.trapezoid(2 * torch.pi * r * light, r) == pytest.approx(
        float(profile.total(torch.tensor(2.0))), rel=1e-4
    )


def test_the_example_profile_has_every_shape(profile, monkeypatch):
    monkeypatch.setitem(PROFILES, "plummer", profile)
    hidden = {"bending": (2,), "fourier": (1,), "rotation": "log"}
    bare, cut = (component(1, "plummer", c0=True, hidden=hidden, inner=inner, mu=19.0) for inner in ((), (2,)))
    assert np.isfinite(image(job(bare), psf=star())).all()
    made = image(job(component(1, "plummer", inner=(2,), mu=19.0, q=1.0, xc=17.0, yc=16.0), truncation(2, "radial")))
    level = 10 ** (-0.4 * (19.0 - 25.0)) * 0.25 * 0.982  # counts in a pixel of 0.5 x 0.5 arcsec, at the break radius
    assert made[15, 16 + 8] == pytest.approx(level, rel=0.1)
    assert np.isfinite(image(job(cut, truncation(2, "radial")))).all()
