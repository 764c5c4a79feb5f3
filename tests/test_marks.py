"""Which numbers GALFIT stars, brackets and braces, and how it writes them; thresholds as probed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from galfeed import feedme
from galfeed.job import Job, Parameter, ParamRef
from galfeed.output.marks import (
    FIXED,
    FREE,
    SUSPICIOUS,
    TIED,
    flagged,
    header_value,
    mark,
    numerical_problem,
    single,
    suspicious,
)

REGION = (5, 20, 1, 40)
NAN = math.nan

SERSIC = """
 0) sersic
 1) 10 20 {t} {t}
 3) 20 {t}
 4) 5 {t}
 5) 2 {t}
 9) 0.7 {t}
10) 20 {t}
"""
SKY = "\n 0) sky\n 1) 0.01 1\n 2) -50 1\n 3) 1e6 1\n"


def job(*blocks: str, toggle: int = 1) -> Job:
    return feedme.parse("H) 5 20 1 40\n" + "".join(block.format(t=toggle) for block in blocks))


def starred(block: str, key: str, value: float) -> bool:
    return suspicious(job(block).components[0], key, value, REGION)


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("1", [4.0, 20.0], [3.999, 20.001, -1.0]),
        ("2", [0.0, 40.0], [-0.001, 40.001]),
        ("3", [-30.0, 30.0], [30.001, 99.0]),
        ("4", [0.5001, 1e6], [0.5, 0.01, -3.0]),
        ("5", [0.05, 9.9999], [0.0499, 0.0, -1.0, 10.0, 30.0]),
        ("6", [-50.0, 9.9999], [10.0]),
        ("7", [-50.0, 9.9999], [10.0]),
        ("9", [0.1, 1.0], [0.0999, 0.01]),
        ("10", [-90.0, 90.0], []),
        ("b1", [0.0101, -0.0101, 50.0], [0.01, -0.01, 0.0]),
        ("c0", [-1.9, 5.0], []),
        ("f3a", [0.001, -0.001, 5.0], [0.0009, -0.0009]),
        ("f3p", [0.0, 100.0], []),
        ("r1", [0.0, 1e4], []),
        ("r4", [4.9999, -4.9999], [5.0, -5.0]),
        ("r9", [5.0, -5.0, 89.0], [4.9999, 0.0, -3.0]),
        ("r10", [0.0], []),
    ],
)
def test_suspicious_values(key, good, bad):
    assert [value for value in good if starred(SERSIC, key, value)] == []
    assert [value for value in bad if not starred(SERSIC, key, value)] == []


def test_thresholds_are_those_of_single_precision():
    assert starred(SERSIC, "b1", 0.01)  # a little less than 0.01
    assert not starred(SERSIC, "f1a", 0.001)  # a little more than 0.001


@pytest.mark.parametrize("block", [SERSIC.replace("sersic", "edgedisk"), "T0) radial\nT4) 8 1\nT5) 12 1\n"])
def test_second_length(block):
    assert not starred(block, "5", 12.0)
    assert starred(block, "5", 0.5)


@pytest.mark.parametrize("kind", ["length", "height", "length2", "height2"])
def test_own_numbers_of_length_and_height_are_starred_but_not_flagged(kind):
    block = job(f"T0) {kind}\nT1) -5 99 1 1\nT4) 0.3 1\nT5) 0.2 1\nT9) 0.05 1\nB1) 0.005 1\n").components[0]
    numbers = dict(block.parameters())
    assert [key for key, p in numbers.items() if suspicious(block, key, p.value, REGION)] == ["4", "5", "9", "b1"]
    assert [key for key, p in numbers.items() if flagged(block, key, p.value, REGION)] == ["b1"]


@pytest.mark.parametrize(
    ("kind", "first", "second", "expected"),
    [
        ("radial2", 8, 8.05, SUSPICIOUS),
        ("radial2-b", 8, 8.0, SUSPICIOUS),
        ("radial2", 8, 8.1, FREE),
        ("radial2", 100, 100.1, SUSPICIOUS),
        ("radial", 8, 8.05, FREE),
        ("height2", 8, 8.05, FREE),
    ],
)
def test_radii_that_touch_are_starred_but_not_flagged(kind, first, second, expected):
    fitted = job(f"T0) {kind}\nT4) {first} 1\nT5) {second} 1\n")
    block = fitted.components[0]
    assert {mark(block, key, block.parameter(key), REGION) for key in ("4", "5")} == {expected}
    assert not numerical_problem(fitted, REGION)


def test_sky_is_never_suspicious():
    component = job(SKY).components[0]
    assert not any(suspicious(component, key, p.value, REGION) for key, p in component.parameters())
    assert not numerical_problem(job(SKY), REGION)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (Parameter(5.0, 1), FREE),
        (Parameter(5.0, 2), FREE),
        (Parameter(5.0, 0), FIXED),
        (Parameter(5.0, -1), FIXED),
        (Parameter(5.0, 1, tied=True), TIED),
        (Parameter(0.3, 1), SUSPICIOUS),
        (Parameter(0.3, 0), FIXED),
        (Parameter(0.3, 1, tied=True), TIED),
    ],
)
def test_mark(parameter, expected):
    assert mark(job(SERSIC).components[0], "4", parameter, REGION) is expected


@pytest.mark.parametrize("toggle", [0, 1])
def test_flag_2_is_raised_by_fixed_numbers_too(toggle):
    good = job(SERSIC, SKY, toggle=toggle)
    assert not numerical_problem(good, REGION)
    bad = good.updated({ParamRef(1, "5"): Parameter(12.0, toggle)})
    assert numerical_problem(bad, REGION)


@pytest.mark.parametrize("kind", ["expdisk", "gaussian", "psf"])
def test_flag_2_is_raised_by_unused_numbers(kind):
    block = SERSIC.replace("sersic", kind).replace(" 5) 2 {t}\n", "")
    if kind == "psf":
        block = "\n".join(block.splitlines()[:4]) + "\n"
    assert numerical_problem(job(block), REGION)


@pytest.mark.parametrize("kind", ["sersic", "devauc", "moffat", "nuker", "king", "ferrer", "edgedisk"])
def test_other_functions_do_not_raise_flag_2(kind):
    block = SERSIC.replace("sersic", kind)
    assert not numerical_problem(job(block.replace(" 5) 2 {t}\n", "") if kind == "devauc" else block), REGION)


def test_the_index_of_a_devauc_is_always_4():
    block = SERSIC.replace("sersic", "devauc").replace(" 5) 2 {t}", " 5) 12 0")
    assert not numerical_problem(job(block), REGION)


def test_hidden_numbers_raise_flag_2_but_not_c0():
    assert numerical_problem(job(SERSIC + "B1) 0.005 0\n"), REGION)
    assert not numerical_problem(job(SERSIC + "C0) 5 1\n"), REGION)


@pytest.mark.parametrize(
    ("value", "error", "sign", "text"),
    [
        (46.52651, 0.02204, FREE, "46.5265 +/- 0.0220"),
        (-7.778e-3, 6.207e-3, FREE, "-7.778e-03 +/- 6.207e-03"),
        (-0.0117, 0.0087, FREE, "-0.0117 +/- 0.0087"),
        (24.4751, 3.0821, SUSPICIOUS, "*24.4751* +/- *3.0821*"),
        (30.0, 0.0, FIXED, "[30.0000]"),
        (0.0, 0.0, FIXED, "[0.000e+00]"),
        (34.0144, 0.5, TIED, "{34.0144}"),
        (40.09, NAN, FREE, "40.0900 +/- nan"),
        (NAN, 0.0, FREE, "nan +/- 0.000e+00"),
        (1e12, 1e18, FREE, "999999995904.0000 +/- 999999984306749440.0000"),
    ],
)
def test_header_value(value, error, sign, text):
    assert header_value(Parameter(value, 1, error), sign) == text


def test_small_hidden_numbers_have_no_exponent():
    parameter = Parameter(0.00512, 1, 0.001)
    assert header_value(parameter, FREE, hidden=True) == "0.0051 +/- 0.0010"
    assert header_value(replace(parameter, value=-1e-8), FIXED, hidden=True) == "[-0.0000]"


@pytest.mark.parametrize(("value", "expected"), [(20.00005, 20.000049591064453), (1e39, math.inf), (-1e39, -math.inf)])
def test_single_precision(value, expected):
    assert single(value) == expected


def test_single_precision_of_nan():
    assert math.isnan(single(NAN))
