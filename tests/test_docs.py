"""README names every function and every option, and says of each function whether it can be fitted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from galfeed.cli import main
from galfeed.profiles import PROFILES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def options(capsys: pytest.CaptureFixture[str]) -> set[str]:
    assert main(["-help"]) == 0
    return set(re.findall(r"^ +(--?[a-z]\w*)", capsys.readouterr().out, re.MULTILINE))


@pytest.mark.parametrize("name", PROFILES)
def test_every_function_is_in_the_table(name):
    row = re.search(rf"^\| `{name}` \| (yes|not yet)", README, re.MULTILINE)
    assert row, f"README's table of functions lacks {name}"
    profile = PROFILES[name]
    can_be_fitted = profile.kind == "point" or profile.intensity is not None
    assert (row[1] == "yes") == can_be_fitted


def test_every_option_is_named(capsys):
    known = options(capsys)
    assert {"-imax", "-o1", "-outsig"} <= known
    missing = {option for option in known if not re.search(rf"`{option}( n)?`", README)}
    assert not missing


def test_the_two_commands_are_one_line_each():
    commands = re.findall(r"^python3 -m venv .*", README, re.MULTILINE)
    assert [c.split("&&")[-1].split("/")[-1] for c in commands] == ["galfeed galfit.feedme", "pytest"]


def test_the_example_profile_is_one():
    """The profile that CONTRIBUTING adds is up to date with the record that it fills in."""
    names: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[1], names)
    profile = names["PROFILE"]
    r = torch.linspace(0, 2000, 2_000_001, dtype=torch.float64)
    light = profile.intensity(r, a=torch.tensor(2.0))
    assert light[0] == 1
    assert torch.trapezoid(2 * torch.pi * r * light, r) == pytest.approx(
        float(profile.total(torch.tensor(2.0))), rel=1e-4
    )
