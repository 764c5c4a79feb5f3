"""Real spirals with rotation, Fourier modes and bars, as GALFIT fitted them.

They come from a public repository and are read where a checkout has them beside it.  Each has a menu at GALFIT's final
values: the model there must be GALFIT's, and a fit that starts there must not lose.
"""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from galfeed import feedme, fit, images

SPIRALS = Path(__file__).parents[2] / "shared" / "sparcfire"
CASES = sorted(path.parent for path in SPIRALS.glob("*/final.feedme"))


def task(case, mode):
    job = feedme.load(case / "final.feedme", "final.feedme")
    return fit.Task(job, images.load(job, case), mode=mode)


def header(case):
    """Of what GALFIT 3.0.5 made of the menu."""
    return fits.Header.fromstring((case / "rerun-3.0.5.hdr.txt").read_text(), sep="\n")


@pytest.mark.skipif(not CASES, reason="needs the collection of real spirals")
def test_there_are_spirals():
    assert len(CASES) > 3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_model_is_galfits(case):
    found = fit.run([task(case, fit.BLOCK)])[0]
    with fits.open(case / "galfit_out.fits") as hdus:
        expected = hdus[2].data.astype(float)
    assert np.abs(found.model - expected).max() < 1e-4 * expected.max()
    assert found.chi2 == pytest.approx(header(case)["CHISQ"], rel=1e-3)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fit_from_there_does_not_lose(case):
    found = fit.run([task(case, fit.FIT)], max_iterations=10)[0]
    expected = header(case)
    assert found.chi2 <= 1.0001 * expected["CHISQ"]
    assert found.ndof == expected["NDOF"]
