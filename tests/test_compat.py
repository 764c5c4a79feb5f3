"""Same inputs, same answers as GALFIT: every folder of ``compat_fixtures`` is run and compared.

In layers, so that a failure names its cause:

- text: ``fit.log``, the restart file, all headers and what is printed before the first iteration.  Exactly,
  except that in a fit every decimal number counts by its form alone (length, decimals, exponent).
- image: the model at fixed parameters.  A fit is drawn again from GALFIT's restart file.
- values: fitted parameters and their error bars against GALFIT's error bars, chi^2, degrees of freedom.

``expected/`` holds what GALFIT wrote.  ``case.toml`` says what was run and holds the tolerances; of a refusal
it holds the one line expected on standard error.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from galfeed.cli import main

FIXTURES = Path(__file__).parents[1] / "compat_fixtures"
CASES = {path.parent.name: tomllib.loads(path.read_text()) for path in sorted(FIXTURES.glob("*/case.toml"))}
DECIMAL = re.compile(r"\d+\.\d+(e[+-]\d\d)?")
VALUE = re.compile(r"\*?(-?\d\S*?)\*? \+/- \*?(-?\d\S*?)\*?")


@dataclass(frozen=True)
class Run:
    """One run of galfeed in a copy of a case's folder."""

    folder: Path
    code: int
    stdout: str
    stderr: str


def run(case: str, folder: Path, *arguments: str) -> Run:
    shutil.copytree(FIXTURES / case, folder, ignore=lambda _, names: {"case.toml"} & set(names))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    return Run(folder, code, out.getvalue(), err.getvalue())


def of_kind(*kinds: str) -> list[str]:
    return [name for name, case in CASES.items() if case["kind"] in kinds]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs by case, each made when first asked for."""
    made: dict[str, Run] = {}

    def get(case: str) -> Run:
        if case not in made:
            made[case] = run(case, tmp_path_factory.mktemp("compat") / case, "galfit.feedme")
        return made[case]

    return get


def form(text: str) -> str:
    """The text with every digit of its decimal numbers replaced by 0 and every exponent by e+00."""
    return DECIMAL.sub(lambda m: re.sub(r"\d", "0", m[0]).replace("e-", "e+"), text)


def cards(path: Path, exact: bool) -> list[list[tuple[str, str, str]]]:
    """(keyword, value, comment) of every card of every HDU."""

    def show(value: object) -> str:
        if exact:
            return str(value)
        return "a number" if isinstance(value, float) else form(str(value))

    with fits.open(path) as hdus:
        return [[(c.keyword, show(c.value), c.comment) for c in h.header.cards] for h in hdus]


def model(path: Path) -> tuple[fits.Header, np.ndarray]:
    with fits.open(path) as hdus:
        (hdu,) = (h for h in hdus if h.header.get("OBJECT") == "model")
        return hdu.header.copy(), np.array(hdu.data, float)


def fitted(header: fits.Header) -> dict[str, tuple[float, float]]:
    """Value and error bar of every free parameter by header word."""
    matches = {key: VALUE.fullmatch(header[key]) for key in header if re.match(r"\d+_", key)}
    return {key: (float(m[1]), float(m[2])) for key, m in matches.items() if m}


def assert_same_image(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert found.shape == expected.shape
    peak = np.abs(expected).max()
    assert np.abs(found - expected).max() <= tolerance * peak
    assert abs(found.sum() - expected.sum()) <= tolerance * np.abs(expected).sum()


def test_there_are_cases_of_each_kind():
    assert {case["kind"] for case in CASES.values()} == {"fit", "model", "refusal"}


@pytest.mark.parametrize("case", of_kind("fit", "model"))
def test_succeeds(runs, case):
    result = runs(case)
    said = [line for line in result.stderr.splitlines() if not line.endswith("--exact gives the right image")]
    assert (result.code, said) == (0, [])


@pytest.mark.parametrize("case", of_kind("fit", "model"))
def test_headers(runs, case):
    exact = CASES[case]["kind"] == "model"
    expected = cards(FIXTURES / case / "expected/imgblock.fits.gz", exact)
    assert cards(runs(case).folder / "imgblock.fits", exact) == expected


@pytest.mark.parametrize("case", of_kind("fit"))
@pytest.mark.parametrize("name", ["fit.log", "galfit.01"])
def test_text(runs, case, name):
    found, expected = ((folder / name).read_text() for folder in (runs(case).folder, FIXTURES / case / "expected"))
    assert form(found).splitlines() == form(expected).splitlines()


@pytest.mark.parametrize("case", [c for c in CASES if (FIXTURES / c / "expected/stdout.txt").exists()])
def test_printed_before_the_first_iteration(runs, case):
    def opening(text: str) -> list[str]:
        lines = text.split("Iteration :")[0].rstrip("\a").splitlines()  # the bell is for terminals
        return [line for line in lines if not line.startswith(("GALFIT Version", "galfeed "))]

    assert opening(runs(case).stdout) == opening((FIXTURES / case / "expected/stdout.txt").read_text())


@pytest.mark.parametrize("case", of_kind("model"))
def test_model_image(runs, case):
    _, expected = model(FIXTURES / case / "expected/imgblock.fits.gz")
    _, found = model(runs(case).folder / "imgblock.fits")
    assert_same_image(found, expected, CASES[case]["tolerance"]["pixels"])


@pytest.mark.parametrize("case", of_kind("fit"))
def test_model_image_at_the_final_values(case, tmp_path):
    _, expected = model(FIXTURES / case / "expected/imgblock.fits.gz")
    folder = run(case, tmp_path / case, "-o1", "expected/galfit.01").folder
    _, found = model(folder / "imgblock.fits")
    assert_same_image(found, expected, CASES[case]["tolerance"]["pixels"])


@pytest.mark.parametrize("case", of_kind("fit"))
def test_fitted_values(runs, case):
    limit = CASES[case]["tolerance"]
    theirs, _ = model(FIXTURES / case / "expected/imgblock.fits.gz")
    ours, _ = model(runs(case).folder / "imgblock.fits")
    expected, found = fitted(theirs), fitted(ours)
    assert found.keys() == expected.keys()
    assert len(expected) == ours["NFREE"] == theirs["NFREE"]
    assert ours["NDOF"] == theirs["NDOF"]
    assert ours["CHISQ"] <= theirs["CHISQ"] * (1 + limit["chi2"])
    rounding = 1e-4
    for key, (value, error) in expected.items():
        assert abs(found[key][0] - value) <= limit["values"] * error + rounding, key
        assert abs(found[key][1] - error) <= limit["errors"] * error + rounding, key


@pytest.mark.parametrize("case", of_kind("refusal"))
def test_refusal_is_one_clear_line(runs, case):
    result = runs(case)
    assert result.code == 2
    assert result.stderr == CASES[case]["message"] + "\n"
    assert {p.name for p in result.folder.iterdir()} == {p.name for p in (FIXTURES / case).iterdir()} - {"case.toml"}
