"""The option --exact: right numbers in the same files."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from galfeed.cli import main

EXAMPLE = Path(__file__).parents[1] / "compat_fixtures" / "example"
DIGIT = re.compile(r"\d(?=\d*\.\d)|(?<=\.)\d+")
ERROR = re.compile(r"\+/- ([\d.]+)")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The example fitted as GALFIT does and exactly."""
    made = {}
    for name, options in (("galfit", []), ("exact", ["--exact"])):
        made[name] = tmp_path_factory.mktemp("exact") / name
        shutil.copytree(EXAMPLE, made[name], ignore=shutil.ignore_patterns("expected", "case.toml"))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(made[name])
            assert main([*options, "galfit.feedme"]) == 0
    return made


def block(folder):
    with fits.open(folder / "imgblock.fits") as hdus:
        return [(hdu.header.copy(), None if hdu.data is None else hdu.data.copy()) for hdu in hdus]


def test_the_image_differs_a_little(folders):
    galfit, exact = (block(folders[name])[2][1] for name in ("galfit", "exact"))
    difference = np.abs(galfit - exact).max() / galfit.max()
    assert 1e-5 < difference < 0.1


def test_the_errors_are_the_usual_ones(folders):
    headers = [block(folders[name])[2][0] for name in ("galfit", "exact")]
    keys = [key for key in headers[0] if re.match(r"\d_", key) and "+/-" in str(headers[0][key])]
    galfit, exact = (np.array([float(ERROR.search(header[key])[1]) for key in keys]) for header in headers)
    assert len(keys) >= 7
    assert np.all(exact > 0.9 * galfit)  # the projections of GALFIT are never larger
    assert np.any(exact > 1.05 * galfit)


def test_headers_have_the_same_layout(folders):
    galfit, exact = (
        [[(card.keyword, card.comment) for card in header.cards] for header, _ in block(folders[name])]
        for name in ("galfit", "exact")
    )
    assert galfit == exact


@pytest.mark.parametrize("name", ["fit.log", "galfit.01"])
def test_texts_have_the_same_layout(folders, name):
    galfit, exact = (DIGIT.sub("0", (folders[which] / name).read_text()) for which in ("galfit", "exact"))
    assert exact == galfit


MENU = """
B) model.fits
E) 1
H) 1 240 1 240
I) 240 240
J) 25
K) 1 1
P) 1

 0) sersic
 1) 120.3 120.6
 3) {magnitude}
 4) {re}
 5) {n}
 9) 0.6
10) 35
{hidden}
"""
SIMPLE = {
    "disk": {"re": 6.0, "n": 1.0},
    "compact": {"re": 0.3, "n": 1.5},
    "box with a wave": {"re": 6.0, "n": 1.0, "hidden": "C0) 0.5 1\nF1) 0.1 30 1 1"},
}


@pytest.mark.parametrize("case", SIMPLE)
def test_the_flux_is_that_of_the_magnitude(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("galfit.feedme").write_text(MENU.format(magnitude=20.0, **{"hidden": ""} | SIMPLE[case]))
    assert main(["--exact", "galfit.feedme"]) == 0
    assert fits.getdata("model.fits").sum(dtype=float) == pytest.approx(100.0, rel=1e-4)


@pytest.mark.parametrize(("options", "lines"), [(["--exact"], 0), ([], 1)])
def test_a_wrong_flux_is_named_only_where_it_is_drawn(options, lines, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    case = SIMPLE["box with a wave"]
    Path("galfit.feedme").write_text(MENU.format(magnitude=20.0, **case).replace("1 240 1 240", "100 140 100 140"))
    assert main([*options, "galfit.feedme"]) == 0
    assert capfd.readouterr().err.count("--exact gives the right image") == lines
