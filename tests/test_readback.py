"""What GALFIT, GALFITM and galfeed wrote reads back as the same records, from whichever file."""

from __future__ import annotations

import doctest
import gzip
import math
import subprocess
import sys
import tracemalloc
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readings import agree
from simulate import component, exposure, job, truncation

import galfeed
from galfeed import feedme, readback
from galfeed.errors import GalfeedError
from galfeed.job import FUNCTIONS, Job, Parameter, ParamRef
from galfeed.output import fitlog
from galfeed.output.fitscard import text_card
from galfeed.output.header import parameter_cards
from galfeed.readback import Component, ReadWarning, Result, UnreadableError, Value
from galfeed.result import FitResult, Status

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "compat_fixtures"
LOGGED = sorted(log.parent for log in FIXTURES.glob("*/expected/fit.log"))
BLOCKS = sorted(FIXTURES.glob("*/expected/imgblock.fits.gz"))
EXAMPLE = FIXTURES / "example" / "expected"

RULE = "-" * 77
HEAD = """
Input image     : gal.fits[1:93,2:94] 
Init. par. file : galfit.feedme 
Restart file    : galfit.01 
Output image    : imgblock.fits 

"""  # noqa: W291
TAIL = " Chi^2 = 12695.04799,  ndof = 8641\n Chi^2/nu = 1.469 \n"


def entry(body: str, head: str = HEAD, tail: str = TAIL) -> str:
    return f"{RULE}\n{head}{body}{tail}\n{RULE}\n"


def read(folder: Path, text: str | bytes, name: str = "file") -> list[Result]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return galfeed.read(path)


def logged(folder: Path, body: str, **parts: str) -> tuple[Component, ...]:
    (result,) = read(folder, entry(body, **parts))
    return result.components


def refused(folder: Path, text: str | bytes) -> str:
    """The message about a file, without the folder."""
    with pytest.raises(GalfeedError) as caught:
        read(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}/", "")


# One run, three files


@pytest.mark.parametrize("folder", LOGGED, ids=lambda folder: folder.parent.name)
def test_log_header_and_restart_file_of_one_run_agree(folder):
    (log,) = galfeed.read(folder / "fit.log")
    (restart,) = galfeed.read(folder / "galfit.01")
    (block,) = galfeed.read(folder / "imgblock.fits.gz")
    assert (log.kind, restart.kind, block.kind) == ("log", "menu", "header")
    assert log.program == restart.program == block.program == "GALFIT 3"
    assert block.nfree and block.flags
    agree(log, block)
    agree(log, restart)
    agree(block, restart)


def test_there_are_runs():
    assert len(LOGGED) > 10


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.parts[-3])
def test_every_header_is_read(block):
    (result,) = galfeed.read(block)
    menu = feedme.load(block.parents[1] / "galfit.feedme", "galfit.feedme")
    assert [c.name.split() for c in result.components] == [c.printed_name.split() for c in menu.components]
    for own, asked in zip(result.components, menu.components, strict=True):
        links = (asked.inner, asked.outer)
        assert asked.is_truncation or (own.inner, own.outer) == links


# galfeed's own writers, with numbers of all sizes

NUMBERS = st.one_of(
    st.floats(-99, 99),
    st.floats(-0.02, 0.02),
    st.floats(-1e9, 1e9),
    st.sampled_from([0.0, 0.01, 1.0, -1195453912904105984.0]),
)
AMPLITUDES = st.one_of(st.floats(0.001, 99), st.floats(-99, -0.001))  # a menu's amplitude of 0 is no mode at all
ERRORS = st.one_of(st.floats(0, 10), st.floats(0, 1e20), st.sampled_from([0.0, math.nan, math.inf]))


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """A menu of any components, fitted: values, error bars, fixed and tied numbers."""
    lights = draw(st.lists(st.sampled_from(FUNCTIONS), min_size=1, max_size=3))
    cut = draw(st.sampled_from([(), ("inner",), ("outer",), ("inner", "outer")]))
    parts = []
    for number, name in enumerate(lights, 1):
        orders = draw(st.lists(st.integers(1, 12), max_size=2, unique=True).map(sorted))
        hidden = {}
        if name not in ("sky", "psf"):
            hidden = {
                "bending": draw(st.sampled_from([(), (2,), (1, 3)])),
                "fourier": tuple(orders),
                "rotation": draw(st.sampled_from(["", "power", "log"])),
            }
        links = dict.fromkeys(cut, (len(lights) + 1,)) if number == 1 and name not in ("sky", "psf") else {}
        parts.append(component(number, name, c0=bool(hidden) and draw(st.booleans()), hidden=hidden, **links))
    if parts[0].inner or parts[0].outer:
        centre, ellipse = draw(st.booleans()), draw(st.booleans())
        name = draw(st.sampled_from(["radial", "radial2-b", "length2", "height"]))
        parts.append(truncation(len(parts) + 1, name, centre=centre, ellipse=ellipse))
    made = job(*parts)
    changes: dict[ParamRef, Parameter] = {}
    for part in made.components:
        for key, parameter in part.parameters():
            how = draw(st.sampled_from(["free", "fixed", "tied"]))
            amplitude = key == "c0" or key[0] in "bf" and key[-1] != "p"
            value = parameter.value if key == "9" else draw(AMPLITUDES if amplitude else NUMBERS)
            error = draw(ERRORS) if how == "free" else 0.0
            toggle = 0 if how == "fixed" else 1
            new = replace(parameter, value=value, error=error, toggle=toggle, tied=how == "tied")
            changes[ParamRef(part.number, key)] = new
        if part.is_truncation:  # GALFIT sorts the radii in some of its files
            inner, outer = (changes[ParamRef(part.number, key)] for key in ("4", "5"))
            changes[ParamRef(part.number, "5")] = replace(outer, value=inner.value + 1 + abs(inner.value))
    return made.updated(changes)


@settings(max_examples=60, deadline=None)
@given(jobs())
def test_what_galfeed_writes_reads_back(tmp_path_factory, fitted):
    folder = tmp_path_factory.mktemp("run")
    images = exposure(fitted)
    result = FitResult(fitted, Status.CONVERGED, 1234.6, 1000, (), np.eye(0), ("A-3", "2"), 7, 1, np.zeros((31, 34)))
    (log,) = read(folder, fitlog.entry(result, images.region, "galfit.01"), "fit.log")
    cards = parameter_cards(result, images, "galfit.01")
    (header,) = read(folder, "SIMPLE  =                    T\n" + "\n".join(cards) + "\nEND\n", "header")
    (restart,) = read(folder, feedme.dump(fitted, chi2=1234.6, ndof=1000), "galfit.01")
    assert header.flags == ("A-3", "2")
    agree(log, restart)
    agree(replace(header, image="data.fits"), restart)
    if not log.remarks:
        agree(log, replace(header, image="data.fits"))


# Numbers and marks


def test_marks_and_error_bars(tmp_path):
    body = (
        " sersic    : (  {46.53},  [48.26])  22.98   2000.62 *12.11*   0.86   -71.75\n"
        "             (   {0.02},   [0.00])  -nan      0.11  *0.56*    inf     5.47\n"
    )
    (galaxy,) = logged(tmp_path, body)
    assert galaxy["XC"] == Value(46.53, None, "tied")
    assert galaxy["YC"] == Value(48.26, None, "fixed")
    assert galaxy["RE"] == Value(2000.62, 0.11, "free")
    assert galaxy["N"] == Value(12.11, 0.56, "suspicious")
    assert math.isnan(galaxy["MAG"].error)
    assert galaxy["AR"].error == math.inf
    with pytest.raises(KeyError, match="has no RS, it has XC YC MAG RE N AR PA"):
        galaxy["RS"]


def test_nothing_but_not_a_number(tmp_path):
    body = (
        " sersic    : (   -nan,     nan)  *-nan*     -inf   [nan]   {nan}   -nan\n"
        "             (   -nan,     nan)  *-nan*      inf   [nan]   {nan}   -nan\n"
    )
    (result,) = read(tmp_path, entry(body, tail=" Chi^2 = -nan,  ndof = 12\n Chi^2/nu = -nan \n"))
    (galaxy,) = result.components
    assert math.isnan(result.chi2) and math.isnan(result.chi2nu)
    assert [value.mark for value in galaxy.values.values()] == "free free suspicious free fixed tied free".split()


def test_numbers_that_run_together_are_parted_by_their_decimals(tmp_path):
    body = (
        " sersic    : (46.53,48.26)22.98-1195453912904105984.002.62[0.86]-71.75\n"
        "             (0.02,0.02)0.031748451926736896.000.11[0.00]5.47\n"
    )
    (galaxy,) = logged(tmp_path, body)
    assert galaxy["RE"] == Value(-1195453912904105984.0, 1748451926736896.0)
    assert galaxy["N"] == Value(2.62, 0.11)
    assert galaxy["AR"] == Value(0.86, None, "fixed")
    assert galaxy["PA"] == Value(-71.75, 5.47)


def test_numbers_as_wide_as_they_come(tmp_path):
    body = (
        " sersic    : ( *181.64*, *360.77*)  15.67     51.62    0.23   *0.02*  -59.39\n"
        "             (*641872728948736.00*, *271667217563648.00*) 102684338159616.00 1748451926736896.00 "
        "23063586406400.00 *1050909409280.00* 94217430892544.00\n"
    )
    (galaxy,) = logged(tmp_path, body)
    assert galaxy["XC"] == Value(181.64, 641872728948736.0, "suspicious")
    assert galaxy["AR"] == Value(0.02, 1050909409280.0, "suspicious")
    assert galaxy["PA"] == Value(-59.39, 94217430892544.0)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("   27.99,    31.99)   16.37      5.46    0.88   -30.37",), "XC YC MAG RE N PA"),
        (("   27.95,    32.01)   16.38      5.41    0.88    0.81",), "XC YC MAG RE N AR"),
        (("   27.98,    31.99)   16.37      5.45    0.88  [-29.00]",), "XC YC MAG RE N PA"),
        (("   27.98,    31.99)   16.37      5.45   [0.88]  [0.80]",), "XC YC MAG RE N AR"),
        (("   27.98,    31.99)   16.37      5.45    0.88",), "XC YC MAG RE N"),
    ],
)
def test_an_axis_ratio_or_angle_of_toggle_minus_1_is_left_out(tmp_path, lines, words):
    body = f" sersic    : ({lines[0]}\n             ({lines[0]}\n"
    (galaxy,) = logged(tmp_path, body)
    assert list(galaxy.values) == words.split()


def test_truncations_know_whom_they_cut_and_the_other_way_round(tmp_path):
    body = (
        " expdisk3 /\\: (  [20.00],  [21.00]) [18.00]    [5.00]  [0.70]  [20.00]\n"
        "             (   [0.00],   [0.00])  [0.00]    [0.00]  [0.00]   [0.00]\n"
        " sersic1 \\ : (   20.00,    21.00)   18.00      5.00    2.00    0.70    20.00\n"
        "             (    0.01,     0.01)    0.01      0.01    0.01    0.01     0.01\n"
        " radial    : [1] [0]  (  [21.00],  [22.00])  [8.00]  [4.00]  [0.80] [10.00]\n"
        "                        ( [0.00],    [0.00])   [0.00]   [0.00]   [0.00]   [0.00]\n"
        " radial2-b  : [0] [1, 2]   12.00  18.00\n"
        "                         0.10   0.20\n"
    )
    inside, outside, first, second = logged(tmp_path, body)
    assert (inside.inner, inside.outer) == ((3,), (4,))
    assert (outside.inner, outside.outer) == ((), (4,))
    assert (first.inner, first.outer) == ((1,), ())
    assert (second.inner, second.outer) == ((), (1, 2))
    assert list(inside.values)[2] == "MUBRK" and list(outside.values)[2] == "MU_0"
    assert list(first.values) == ["XC", "YC", "RBRK", "DSFT", "AR", "PA"]
    assert second["RSFT"] == Value(18.0, 0.2)


def test_a_word_that_a_rotation_has_too_is_the_rotations(tmp_path):
    body = (
        " ferrer    : (   30.00,    31.00)  21.00   15.00    2.00   1.00   0.70    20.00\n"
        "             (    0.01,     0.01)   0.02    0.03    0.04   0.05   0.06     0.07\n"
        "   power   :      2.00     21.00    60.00      0.30   20.00    15.00\n"
        "           :      0.10      0.20     0.30      0.40    0.50     0.60\n"
    )
    (bar,) = logged(tmp_path, body)
    assert bar.rotation == "power"
    assert (bar["ROUT4"].value, bar["ALPHA5"].value) == (15.0, 2.0)
    assert (bar["ROUT"].value, bar["ALPHA"].value) == (21.0, 0.3)


def test_many_modes_take_several_lines(tmp_path):
    body = (
        " sersic    : (   27.94,    32.02)   15.65      5.35    0.88    0.82   -29.17\n"
        "             (    0.06,     0.08)    0.01      0.10    0.02    0.01     1.32\n"
        "   fourier : (1:  0.18,   61.07)  (3:  0.07,  -37.26)  (4:  0.02,   36.79)  \n"
        "             (1:  0.02,    6.72)  (3:  0.01,    2.37)  (4:  0.01,    7.87)  \n"
        "   fourier : (5: [0.01], [-30.00]) (6:  0.02,   20.13)  \n"
        "             (5: [0.00],  [0.00]) (6:  0.01,    3.51)  \n"
    )
    (result,) = read(tmp_path, entry(body))
    (galaxy,) = result.components
    assert list(galaxy.values)[7:] == "F1 F1PA F3 F3PA F4 F4PA F5 F5PA F6 F6PA".split()
    assert galaxy["F6PA"] == Value(20.13, 3.51)
    assert not result.remarks


def test_the_error_bars_that_galfit_prints_for_the_wrong_numbers_are_told_of(tmp_path):
    body = (
        " sersic    : (   27.97,    31.97)   16.51      5.18    0.83    0.79   -30.59\n"
        "             (    0.10,     0.08)    0.06      0.10    0.02    0.01     1.70\n"
        "   fourier : (1:  0.20,   61.66)  (3:  0.08,  -35.30)  \n"
        "             (1:  0.02,    8.67)  (3:  0.02,    3.39)  \n"
        "     c0    :   -0.11 \n"
        "           :    0.02 \n"
    )
    (result,) = read(tmp_path, entry(body))
    (remark,) = result.remarks
    assert remark.message == "component 1: GALFIT prints wrong error bars for 'c0' here, take the image block's"
    fixed = body.replace("-0.11 ", "[-0.11] ").replace(" 0.02 \n", "[0.00] \n")
    assert not read(tmp_path, entry(fixed))[0].remarks


# Logs that are not whole


@pytest.mark.parametrize("length", [30, 78, 110, 180, 300, 380, 480, 530])
def test_an_entry_that_is_cut_short_is_told_of(tmp_path, length):
    whole = (EXAMPLE / "fit.log").read_text()
    (tmp_path / "fit.log").write_text(whole + whole[:length])
    with pytest.warns(ReadWarning, match=r"fit.log:\d+: the entry that begins here is cut short"):
        results = galfeed.read(tmp_path / "fit.log")
    assert len(results) == 1
    reading = readback.load(tmp_path / "fit.log")
    assert reading.results == tuple(results) and len(reading.remarks) == 1


def test_an_entry_cut_short_between_others_is_told_of(tmp_path):
    whole = (EXAMPLE / "fit.log").read_text()
    for cut in (f"{whole[:300]}\n", f"{RULE}\n{HEAD} sersic"):
        (tmp_path / "fit.log").write_text(whole + cut + whole)
        reading = readback.load(tmp_path / "fit.log")
        assert len(reading.results) == 2
        assert ["is cut short" in str(remark) for remark in reading.remarks] == [True]


def test_only_the_last_digits_may_be_missing(tmp_path):
    whole = (EXAMPLE / "fit.log").read_text()
    number = whole.index("0.892") + 5
    assert len(read(tmp_path, whole[: number + 1])) == 1
    assert "no whole entry" in refused(tmp_path, whole[:number])


def test_lines_between_entries_are_told_of(tmp_path):
    whole = (EXAMPLE / "fit.log").read_text()
    (tmp_path / "fit.log").write_text(f"my best fits\nof June\n{whole}")
    with pytest.warns(ReadWarning, match="fit.log:1: 'my best fits' belongs to no entry"):
        assert len(galfeed.read(tmp_path / "fit.log")) == 1


def test_a_whole_log_warns_of_nothing(tmp_path):
    whole = (EXAMPLE / "fit.log").read_text()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = read(tmp_path, 3 * whole)
        bare = read(tmp_path, whole.replace(RULE, "").replace(" \n", "\n"))
    assert [result.place.line for result in results] == [3, 18, 33]
    assert bare[0].components == results[0].components


# GALFIT 2

OLD_LOG = entry(
    " sersic   : (53.00, 51.83)   20.5751   268.0000   7.4807    0.4211   -30.0709  0.1000 \n"
    "              (0.26, 0.32)   0.7317    365.6013   2.5687    0.0182   3.0642   0.0000 \n"
    " expdisk  : (51.86, 52.85)   22.2360   3.0173    0.4333    -6.5233   0.0000  \n"
    "              (0.04, 0.08)   0.0347    0.0507    0.0113    1.1964    0.0000  \n"
    " sky      : [52.50, 52.50]   0.6473    0.0000e+00   0.0000e+00\n"
    "                             0.0001    0.0000e+00   0.0000e+00\n",
    tail=" Chi^2 = 27882.6061059,  ndof = 10803\n Chi^2/nu = 2.58101 \n",
)
OLD_HEADER = """\
SIMPLE  =                    T
COMMENT ========== GALFIT Input Parameters ==========
DATAIN  = 'gal.fits'
FITSECT = '[1:104,1:104]'
COMMENT ========== GALFIT Final Parameters ==========
COMP_1  = 'sersic  '           / Object type
1_XCENT = '53.0012 +/- 0.2641' / X center [pixel]
1_YCENT = '51.8340 +/- 0.3202' / Y center [pixel]
1_MAG   = '20.5751 +/- 0.7317' / Total magnitude
1_C     = '0.1000 +/- 0.0000'  / Diskiness (<0) or Boxiness (>0)
COMMENT ------------------------
COMP_2  = 'sky     '           / Object type
2_XCENT = '52.5000 '           / X center [pixel]
2_DSKYDX= '0.0000 +/- 0.0000'  / x sky gradient [ADUs]
COMMENT ------------------------
CHISQ   =     27882.6061059001 / Chi^2 of fit
NDOF    =                10803 / Degrees of Freedom
CHI2NU  =             2.581006 / Reduced Chi^2
COMMENT =============================================
"""
OLD_MENU = """
#  Chi^2/nu = 2.581,  Chi^2 = 27882.606,  Ndof = 10803

================================================================================
A) gal.fits   # Input data image (FITS file)
B) block.fits
H) 1 104 1 104
 0)     sersic         #    Object type
 1) 53.0012 51.8340 1 1  #   position x, y
 3) 20.5751    1       #  total magnitude
 4) 268.0000   1       #      R_e
 5) 7.4807     1       #  exponent (de Vaucouleurs = 4)
 6) -959892362019182527582872065277952.0000    0       #     -----
 8) 0.4211     1       #  axis ratio (b/a)
 9) -30.0709   1       #  position angle (PA)
10) 0.1000     0       #  diskiness(-)/boxiness(+)
 Z) 0
================================================================================
"""


def test_a_log_of_galfit_2(tmp_path):
    (result,) = read(tmp_path, OLD_LOG)
    assert (result.program, result.chi2nu) == ("GALFIT 2", 2.58101)
    bulge, disk, sky = result.components
    assert bulge["PA"] == Value(-30.0709, 3.0642)
    assert bulge["C0"] == Value(0.1, None, "unknown")
    assert list(disk.values) == "XC YC MAG RS AR PA C0".split()
    assert sky["XC"] == Value(52.5, None, "fixed")
    assert sky["SKY"] == Value(0.6473, 0.0001)


def test_a_header_of_galfit_2(tmp_path):
    (result,) = read(tmp_path, OLD_HEADER)
    assert (result.program, result.flags, result.nfree) == ("GALFIT 2", None, None)
    galaxy, sky = result.components
    assert galaxy["XC"] == Value(53.0012, 0.2641)
    assert galaxy["C0"] == Value(0.1, None, "unknown")
    assert sky["XC"] == Value(52.5, None, "fixed")
    assert sky["DSDX"].mark == "unknown"


def test_a_header_that_galfit_2_wrote_over_itself_is_told_of(tmp_path):
    begin = OLD_HEADER.index("COMMENT =")
    again = OLD_HEADER + OLD_HEADER[begin:].replace("1_MAG   =", "1_SKY   =")
    (result,) = read(tmp_path, again)
    assert "SKY" not in result.components[0].values
    assert "several times over each other" in str(result.remarks[0])


def test_a_restart_file_of_galfit_2_is_read_in_its_numbering(tmp_path):
    (result,) = read(tmp_path, OLD_MENU)
    (galaxy,) = result.components
    assert (result.program, result.chi2, result.ndof) == ("GALFIT 2", 27882.606, 10803)
    assert galaxy["AR"] == Value(0.4211)
    assert galaxy["PA"] == Value(-30.0709)
    assert galaxy["C0"] == Value(0.1, None, "fixed")
    assert "N" in galaxy.values and "6" not in galaxy.values


# GALFITM

BANDS = """
#  Input menu file: multi.feedme

#  Chi^2/nu = 1.250,  Chi^2 = 25000.500,  Ndof = 20001

================================================================================
A) u.fits,g.fits,r.fits      # Input data image (FITS file)
A1) u,g,r              # Band labels
A2) 5000.00,3000.00,6000.00     # Band wavelengths
B) block.fits
H) 1    93   1    93
J) 26.5,26.5,26.5
# INITIAL CHEBYSHEV FITTING PARAMETERS
 0) sersic                 #  Component type
 1) 48.518,0,0        1,0,0               cheb #      Position x
 2) 51.280            1                   cheb #      Position y
 3) 17.5,16.5,16.0 3 band # magnitude
 4) cheb_is_no_number 1 band
 9) 0.757             0
C0) 0.1,-0.1      2   cheb
F1) 0.05 45 1 0
 Z) 0
 0) sky
 1) 1.294,0.150,5.625e-02    1,1,1               cheb #  Sky background
 2) 0,0,0             0,0,0               cheb
 3) 0,0,0             0,0,0               cheb
================================================================================
"""


def test_a_menu_of_several_bands_gives_a_value_in_each(tmp_path):
    (result,) = read(tmp_path, BANDS.replace(" 4) cheb_is_no_number 1 band\n", ""))
    galaxy, sky = result.components
    assert (result.program, result.bands, result.chi2nu) == ("GALFITM", ("u", "g", "r"), 1.25)
    assert result.image == "u.fits,g.fits,r.fits"
    assert galaxy["MAG"] == (Value(17.5), Value(16.5), Value(16.0))
    assert galaxy["YC"] == 3 * (Value(51.28),)
    assert galaxy["AR"] == 3 * (Value(0.757, None, "fixed"),)
    assert (galaxy["F1"][0], galaxy["F1PA"][2]) == (Value(0.05), Value(45.0, None, "fixed"))
    assert [value.value for value in galaxy["C0"]] == pytest.approx([0.1 - 0.1 / 3, 0.2, 0.0])
    # Computed by GALFITM 1.2 for these coefficients: 1.300, 1.200, 1.500
    assert [value.value for value in sky["SKY"]] == pytest.approx([1.3, 1.2, 1.5], abs=5e-4)
    assert sky["XC"][1] == Value(47.0, None, "fixed")
    row = result.row()
    assert (row["1_MAG_G"], row["1_MAG_G_MARK"], row["1_XC_R"]) == (16.5, "free", 48.518)


def test_a_menu_of_one_band_with_x_and_y_on_their_own_lines(tmp_path):
    menu = "A) d.fits\nH) 1 93 1 93\n 0) sersic\n 1) 48.5 1\n 2) 51.3 0\n 3) 20 1\n 0) sky\n 1) 1 1\n 2) 0.1 1\n"
    (result,) = read(tmp_path, menu)
    galaxy, sky = result.components
    assert result.program == "GALFITM"
    assert (galaxy["XC"], galaxy["YC"]) == (Value(48.5), Value(51.3, None, "fixed"))
    assert sky["DSDX"] == Value(0.1)


def test_without_a_word_a_menu_has_values_and_a_restart_file_coefficients(tmp_path):
    menu = "A) u.fits,g.fits\nA1) u,g\nA2) 3,5\nH) 1 9 1 9\n0) sersic\n1) 4 5 1 1\n3) 20,1 2\n"
    (result,) = read(tmp_path, menu)
    assert [value.value for value in result.components[0]["MAG"]] == [20.0, 1.0]
    (result,) = read(tmp_path, "#  Input menu file: a\n#  Chi^2/nu = 1.0,  Chi^2 = 2.0,  Ndof = 3\n" + menu)
    assert [value.value for value in result.components[0]["MAG"]] == [19.0, 21.0]


def test_a_header_of_several_bands(tmp_path):
    cards = ["SIMPLE  =                    T", "COMMENT ========== GALFIT Final Parameters =========="]
    values = {"BANDS": "u,g", "DATAIN_U": "u.fits", "DATAIN_G": "g.fits", "COMP_1": "sersic"}
    values |= {"1_MAG_0": "18.0000 +/- 0.1000", "1_MAG_1": "-0.5000 +/- 0.1000"}
    values |= {"1_MAG_U": "18.5000 +/- 0.1000", "1_MAG_G": "*17.5000* +/- *0.2000*"}
    values |= {"1_MU_0_0": "[1.0]", "1_MU_0_U": "[1.0]", "1_MU_0_G": "[2.0]"}
    cards += [text_card(word, value) for word, value in values.items()]
    (result,) = read(tmp_path, "\n".join([*cards, "CHI2NU  =  1.5", "END"]))
    (galaxy,) = result.components
    assert (result.program, result.bands, result.image) == ("GALFITM", ("u", "g"), "u.fits,g.fits")
    assert galaxy["MAG"] == (Value(18.5, 0.1), Value(17.5, 0.2, "suspicious"))
    assert list(galaxy.values) == ["MAG", "MU_0"]
    assert "no card 1_MAG_G" in refused(
        tmp_path, "\n".join([c for c in cards if "1_MAG_G" not in c] + ["CHI2NU  = 1."])
    )


def test_a_log_of_galfitm(tmp_path):
    head = HEAD.replace("image     : gal.fits[", "images    : gal.fits [")
    body = (
        " {} : corser    : (  730.82,   637.12)   -6.10      3.35   10.05   0.38   341.82   4.95    0.82   -89.51\n"
        "                  (    0.00,     0.00)    0.01      0.05    2.14   0.01     0.36   0.00    0.00     0.03\n"
        "          c0    :   -0.08 \n"
        "                :    0.01 \n"
    )
    (result,) = read(tmp_path, entry(body.format("x "), head))
    (galaxy,) = result.components
    assert (result.program, result.bands, result.section) == ("GALFITM", ("x",), (1, 93, 2, 94))
    assert list(galaxy.values) == "XC YC MU RB ALPHA GAMMA RE N AR PA C0".split()
    assert galaxy["C0"] == Value(-0.08, 0.01)
    (result,) = read(tmp_path, entry(body.format("u ") + body.format("g ").replace("-6.10", "-5.90"), head))
    (galaxy,) = result.components
    assert result.bands == ("u", "g")
    assert galaxy["MU"] == (Value(-6.1, 0.01), Value(-5.9, 0.01))
    assert galaxy["C0"] == 2 * (Value(-0.08, 0.01),)


# What the file is


def test_the_kind_is_told_by_the_contents(tmp_path):
    block = gzip.decompress((EXAMPLE / "imgblock.fits.gz").read_bytes())
    log, restart = (EXAMPLE / "fit.log").read_bytes(), (EXAMPLE / "galfit.01").read_bytes()
    assert [read(tmp_path, data)[0].kind for data in (block, log, restart)] == ["header", "log", "menu"]
    assert [read(tmp_path, gzip.compress(data))[0].kind for data in (block, log, restart)] == ["header", "log", "menu"]
    assert read(tmp_path, log.replace(b"\n", b"\r\n"))[0].components == read(tmp_path, log)[0].components


def test_a_menu_that_was_never_run_is_read_without_a_fit(tmp_path):
    (result,) = galfeed.read(FIXTURES / "example" / "galfit.feedme")
    assert (result.kind, result.chi2, result.restart, result.section) == ("menu", None, "", (1, 72, 1, 68))
    tie = (FIXTURES / "example" / "galfit.feedme").read_text().replace(" 1\n", " 2\n", 3)
    assert "tied" not in {value.mark for value in read(tmp_path, tie)[0].components[0].values.values()}


def test_the_first_header_with_parameters_counts(tmp_path):
    """As in subcomps.fits of GALFIT 3.0.5: the data have the parameters, the components have not."""
    block = gzip.decompress((EXAMPLE / "imgblock.fits.gz").read_bytes())
    (expected,) = read(tmp_path, block)
    (result,) = read(tmp_path, block + block[-2880 * 8 :])
    assert result.components == expected.components


def test_malformed_cards_do_no_harm(tmp_path):
    block = gzip.decompress((EXAMPLE / "imgblock.fits.gz").read_bytes())
    (expected,) = read(tmp_path, block)
    odd = b"CD1_1   =  1.0D-5x '//  \xe9\x01   ".ljust(80)
    at = block.index(b"COMMENT ", block.index(b"INITFILE"))
    (result,) = read(tmp_path, block[:at] + odd + block[at + 80 :])
    assert result.components == expected.components


def test_components_beyond_99_have_longer_cards(tmp_path):
    cards = ["SIMPLE  =                    T"]
    for number in range(1, 121):
        cards += [text_card(f"COMP_{number}", "king"), text_card(f"{number}_ALPHA", "2.0000 +/- 0.1000")]
    assert cards[-1].startswith("HIERARCH")
    (result,) = read(tmp_path, "\n".join([*cards, "CHI2NU  =  1.5", "END"]))
    assert result.components[119]["ALPHA"] == Value(2.0, 0.1)


def test_pixels_are_not_read(tmp_path):
    size = 20000
    header = (EXAMPLE / "imgblock.fits.gz").read_bytes()
    block = gzip.decompress(header)
    empty = f"SIMPLE  = T\nBITPIX  = -32\nNAXIS   = 2\nNAXIS1  = {size}\nNAXIS2  = {size}\nEND".split("\n")
    first = "".join(f"{card:80}" for card in empty).ljust(2880).encode()
    with open(tmp_path / "large.fits", "wb") as file:
        file.write(first)
        file.seek(2880 + -(-4 * size * size // 2880) * 2880)
        file.write(block[block.index(b"XTENSION") :])
    tracemalloc.start()
    try:
        (result,) = galfeed.read(tmp_path / "large.fits")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.components == galfeed.read(EXAMPLE / "imgblock.fits.gz")[0].components
    assert peak < 2**21


# A row of a table


def test_a_row_has_what_the_file_gives_and_nothing_else():
    (log,), (block,) = galfeed.read(EXAMPLE / "fit.log"), galfeed.read(EXAMPLE / "imgblock.fits.gz")
    row = log.row()
    assert (row["FILE"], row["DATAIN"], row["FITSECT"]) == (str(EXAMPLE / "fit.log"), "image.fits", "[1:72,1:68]")
    assert (row["COMP_1"], row["1_XC"], row["1_XC_ERR"], row["1_XC_MARK"]) == ("sersic", 30.3, 0.01, "free")
    assert "2_DSDX_ERR" not in row and "FLAGS" not in row and "1_ROTF" not in row
    assert block.row()["FLAGS"] == "A-6 A-3 A-5"
    assert None not in row.values()


def test_a_row_names_the_links_of_truncations():
    (result,) = galfeed.read(FIXTURES / "model_truncated" / "expected" / "imgblock.fits.gz")
    row = result.row()
    assert (row["COMP_1"], row["1_TINNR"], row["1_TOUTR"]) == ("sersic3 /\\", "4", "5")
    assert (row["COMP_4"], row["4_INNER"], row["5_OUTER"]) == ("radial", "1", "1")
    assert "1_INNER" not in row and "5_INNER" not in row and "4_TINNR" not in row


# What cannot be read

BAD_LOGS = {
    "7 numbers, 6 error bars": (
        " sersic    : (   46.53,    48.26)   22.98      2.62    4.11    0.86   -71.75\n"
        "             (    0.02,     0.02)    0.03      0.11    0.02     5.47\n",
        "file:8: 6 error bars below 'sersic', expected 7",
    ),
    "too few numbers": (
        " sersic    : (   46.53,    48.26)   22.98      2.62\n             (    0.02,     0.02)    0.03      0.11\n",
        "file:8: 4 numbers for 'sersic', expected 7",
    ),
    "a number is missing, and its place does not say which": (
        " sersic    : (   46.53,    48.26)   22.98      2.62    4.11 0.86\n"
        "             (    0.02,     0.02)    0.03      0.11    0.02 0.01\n",
        "file:8: a number is missing, and whether it is the axis ratio or the angle cannot be told",
    ),
    "no number": (
        " psf       : (   46.53,    48.26)   22.9x\n             (    0.02,     0.02)    0.03\n",
        "file:8: '22.9x' is no number, expected one such as 12.34, [1.00] or *0.05*",
    ),
    "no number among the error bars": (
        " psf       : (   46.53,    48.26)   22.98\n             (    0.02,     0.02)    ***\n",
        "file:9: '***' is no number, expected one such as 12.34, [1.00] or *0.05*",
    ),
    "half a mark": (
        " psf       : (   46.53,    48.26)   [22.98\n             (    0.02,     0.02)    0.03\n",
        "file:8: '[22.98' is marked on one side only",
    ),
    "no error bars": (
        " psf       : (   46.53,    48.26)   22.98\n psf       : (   46.53,    48.26)   22.98\n",
        "file:8: no line of error bars below 'psf       : (   46.53,    48.26)   22.98'",
    ),
    "unknown function": (
        " isophote  : (   46.53,    48.26)   22.98\n             (    0.02,     0.02)    0.03\n",
        "file:8: 'isophote' is no function of GALFIT, expected one of devauc, ",
    ),
    "a mode that has no error bar": (
        " psf       : (   46.53,    48.26)   22.98\n             (    0.02,     0.02)    0.03\n"
        "   fourier : (1:  0.20,   61.66)\n             (2:  0.02,    8.67)\n",
        "file:10: the orders of 'fourier' differ between values and error bars",
    ),
    "a truncation of nothing": (
        " radial    : [3] [0]    8.00    4.00\n                       0.10    0.20\n",
        "file:3: 'radial' truncates component 3, which is not there",
    ),
}


@pytest.mark.parametrize("what", BAD_LOGS)
def test_a_malformed_line_of_a_log_is_named(tmp_path, what):
    body, message = BAD_LOGS[what]
    assert refused(tmp_path, entry(body)).startswith(message)


def test_files_that_are_none_of_galfits(tmp_path):
    kinds = "a fit.log, a restart file or menu, or an image with GALFIT's header"
    assert refused(tmp_path, "a,b\n1,2\n") == f"file: nothing in it is GALFIT's, expected {kinds}"
    assert refused(tmp_path, "") == f"file: nothing in it is GALFIT's, expected {kinds}"
    assert refused(tmp_path, b"\x7fELF\0\0") == f"file: neither a FITS file nor a text, expected {kinds}"
    assert refused(tmp_path, f"{RULE}\n\nInput image     : gal") == "file:3: no whole entry, expected ' Chi^2/nu = ...'"
    with pytest.raises(UnreadableError, match=r"/nowhere: No such file or directory, expected a fit\.log"):
        galfeed.read(tmp_path / "nowhere")
    with pytest.raises(UnreadableError, match="Is a directory"):
        galfeed.read(tmp_path)


def test_headers_that_cannot_be_read(tmp_path):
    image = (FIXTURES / "example" / "image.fits").read_bytes()
    block = gzip.decompress((EXAMPLE / "imgblock.fits.gz").read_bytes())
    model = block.index(b"XTENSION", block.index(b"XTENSION") + 1)
    cut = "the file is cut short"
    assert refused(tmp_path, image) == "file: no header has GALFIT's parameters, expected COMP_1 and so on"
    assert refused(tmp_path, block[:500]) == f"file: {cut}: it ends within a header"
    assert refused(tmp_path, block[: model - 3000]) == f"file: {cut} before the header with GALFIT's parameters"
    assert refused(tmp_path, block[: model + 3000]) == f"file: {cut}: it ends within a header"
    assert "compressed file is damaged" in refused(tmp_path, gzip.compress(block)[:2000])
    assert "NAXIS1 is no whole number" in refused(tmp_path, block.replace(b"NAXIS1  =   ", b"NAXIS1  = x ", 1))
    edited = block.replace(b"CHI2NU  ", b"CHI2NUM ")
    assert refused(tmp_path, edited) == "file: the header is cut short, expected CHI2NU behind the components"
    edited = block.replace(b"+/-", b"+- ", 1)
    assert refused(tmp_path, edited).startswith("file: 1_XC is '30.3022 +-")
    edited = block.replace(b"COMP_2  ", b"COMP_3  ")
    assert refused(tmp_path, edited) == "file: components [1, 3], expected all from 1"


def test_a_listing_names_the_line(tmp_path):
    listing = OLD_HEADER.replace("53.0012 +/-", "53.0012 -/+")
    assert refused(tmp_path, listing).startswith("file:7: 1_XCENT is '53.0012 -/+ 0.2641', expected ")


def test_a_part_of_a_listing_is_enough(tmp_path):
    whole, part = OLD_HEADER, OLD_HEADER[OLD_HEADER.index("COMP_1") :]
    assert read(tmp_path, part)[0].components == read(tmp_path, whole)[0].components
    assert read(tmp_path, f"=== HDU 0 data 9x9 float32\n{whole}END\n=== HDU 1\n{whole}")[0].place.line == 2


def test_missing_pixels_are_told_of(tmp_path):
    block = gzip.decompress((EXAMPLE / "imgblock.fits.gz").read_bytes())
    model = block.index(b"XTENSION", block.index(b"XTENSION") + 1)
    (result,) = read(tmp_path, block[: model + 10000])
    assert "the file is cut short: pixels behind the header are missing" in str(result.remarks[0])
    assert not read(tmp_path, block)[0].remarks


def test_menus_that_cannot_be_read(tmp_path):
    restart = (EXAMPLE / "galfit.01").read_text()
    cut = restart[: restart.index("# Component number: 2")]
    line = cut.rstrip().count("\n") + 1
    assert refused(tmp_path, cut) == f"file:{line}: the restart file is cut short here, expected it to end with ===="
    line = restart[: restart.index(" 0) sersic")].count("\n") + 1
    message = refused(tmp_path, restart.replace(" 0) sersic", " 0) bulge", 1))
    assert message.startswith(f"file:{line}: unknown component 'bulge'")


BAD_BANDS = {
    "file:18: 'cheb_is_no_number', expected a number or a list of numbers with commas": ("", ""),
    "file:17: 2 values, expected one or 3, as there are bands": ("17.5,16.5,16.0", "17.5,16.5"),
    "file:9: A2) gives 2 wavelengths, expected one for each of 3 bands": ("5000.00,3000.00,6000.00", "3000,6000"),
    "file:7: several images, expected labels of their bands in a line A1)": ("A1) u,g,r", ""),
    "file:8: two bands have the same label": ("A1) u,g,r", "A1) u,g,U"),
    "file:11: '1 93 1' after 'H)', expected four whole numbers": ("H) 1    93   1    93", "H) 1    93   1"),
    "file:14: 'isophote' is no function, expected one of devauc": ("0) sersic", "0) isophote"),
    "file:14: truncations in menus of GALFITM are not read": (" Z) 0\n 0) sky", "Ti) 2\n 0) sky"),
    "file: no line A), expected the images": ("A) u.fits,g.fits,r.fits", ""),
}


@pytest.mark.parametrize("message", BAD_BANDS)
def test_menus_of_galfitm_that_cannot_be_read(tmp_path, message):
    old, new = BAD_BANDS[message]
    bad = BANDS.replace(old, new) if old else BANDS
    assert refused(tmp_path, bad if not old else bad.replace("cheb_is_no_number", "5.5")).startswith(message)


# The package


def test_galfeed_imports_nothing_heavy():
    script = """if True:
        import sys
        import galfeed
        assert not {"numpy", "lark", "torch", "astropy"} & set(sys.modules)
        galfeed.read
        assert not {"torch", "astropy"} & set(sys.modules)
        """
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'write'"):
        galfeed.write  # noqa: B018


def test_the_page_about_reading_is_true(tmp_path, monkeypatch):
    for name in ("fit.log", "galfit.01"):
        (tmp_path / name).write_bytes((EXAMPLE / name).read_bytes())
    (tmp_path / "imgblock.fits").write_bytes(gzip.decompress((EXAMPLE / "imgblock.fits.gz").read_bytes()))
    (tmp_path / "image.fits").write_bytes((FIXTURES / "example" / "image.fits").read_bytes())
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "reading.md"
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 10 and not found.failed
