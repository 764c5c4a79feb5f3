"""Lines about components on stdout and in fit.log, as GALFIT 3.0.5 printed them for the same numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from galfeed import feedme
from galfeed.job import Job, Parameter, ParamRef
from galfeed.output import report
from galfeed.output.fitlog import entry, log_lines, progress_lines
from galfeed.result import FitResult, Iteration, Status

REGION = (1, 40, 1, 40)


def job(menu: str) -> Job:
    return feedme.parse(f"A) d.fits\nB) out.fits\nH) 1 40 1 40\n{menu}", "in.feed")


def printed(menu: str) -> str:
    parsed = job(menu)
    return "".join(f"{line}\n" for c in parsed.components for line in progress_lines(c, parsed, REGION))


def logged(menu: str, errors: dict[str, float] | None = None, tied: str = "") -> str:
    """The lines of the first component in fit.log, with error bars and ties put in."""
    parsed = job(menu)
    changes = {}
    for key, parameter in parsed.components[0].parameters():
        error = (errors or {}).get(key, 0.0)
        changes[ParamRef(1, key)] = replace(parameter, error=error, tied=key in tied.split())
    fitted = parsed.updated(changes)
    return "".join(f"{line}\n" for line in log_lines(fitted.components[0], fitted, REGION))


FUNCTIONS = """
 0) sersic
 1) 20.5 21.25 1 1
 3) 15 1
 4) 5.5 1
 5) 2.25 1
 9) 0.75 1
10) -20 1
 0) sersic
 1) 1234.5 21.25 0 1
 3) 123456.5 0
 4) 12345.5 0
 5) 0.01 1
 9) 0.05 1
10) 20 0
 0) devauc
 1) -3 99 1 1
 3) 31 1
 4) 0.25 1
 9) 0.75 0
10) 20 1
 0) expdisk
 1) 20.5 21.25 0 0
 3) 15 0
 4) 5.5 0
 9) 0.75 0
10) 20 0
 0) gaussian
 1) 20.5 21.25 1 0
 3) 15 1
 4) 5.5 0
 9) 0.75 1
10) 20 0
 0) moffat
 1) 20.5 21.25 0 1
 3) 15 0
 4) 5.5 1
 5) 12 1
 9) 0.75 0
10) 20 1
 0) edgedisk
 1) 20.5 21.25 1 1
 3) 18 1
 4) 0.5 1
 5) 12 1
10) 20 1
 0) nuker
 1) 20.5 21.25 1 1
 3) 5 1
 4) 5.5 1
 5) 12 1
 6) 1.5 0
 7) 0.25 1
 9) 0.75 1
10) 20 1
 0) nuker
 1) 20.5 21.25 0 0
 3) 18 0
 4) 5.5 0
 5) 2 0
 6) 1.5 0
 7) 0.25 0
 9) 0.75 0
10) 20 0
 0) ferrer
 1) 20.5 21.25 1 1
 3) 18 1
 4) 15 1
 5) 2 0
 6) 1.5 1
 9) 0.75 1
10) 20 1
 0) king
 1) 20.5 21.25 1 1
 3) 18 0
 4) 5.5 1
 5) 24.5 1
 6) 2 1
 9) 0.75 1
10) 20 1
 0) psf
 1) 20.5 21.25 1 1
 3) 15 1
 0) psf
 1) 20.5 21.25 0 0
 3) 15 0
 0) sky
 1) 1 1
 2) 0.001 0
 3) -0.002 1
"""

FUNCTIONS_PRINTED = """\
 sersic    : (   20.50,    21.25)   15.00      5.50    2.25    0.75   -20.00
 sersic    : ([1234.50],   21.25) [123456.50] [12345.50]  *0.01*  *0.05*  [20.00]
 devauc    : (  *-3.00*,  *99.00*) *31.00*    *0.25*  [4.00]  [0.75]   20.00
 expdisk   : (  [20.50],  [21.25]) [15.00]    [5.50]    ---   [0.75]  [20.00]
 gaussian  : (   20.50,   [21.25])  15.00     [5.50]    ---    0.75   [20.00]
 moffat    : (  [20.50],   21.25)  [15.00]     5.50  *12.00*  [0.75]   20.00
 edgedisk  : (   20.50,    21.25)   18.00     *0.50*  12.00     ---    20.00
 nuker     : (   20.50,    21.25)  5.00   5.50 *12.00* [1.50] 0.25  0.75    20.00
 nuker     : (  [20.50],  [21.25]) [18.00] [5.50] [2.00] [1.50] [0.25] [0.75]  [20.00]
 ferrer    : (   20.50,    21.25)  18.00   15.00   [2.00] 1.50   0.75    20.00
 king      : (   20.50,    21.25) [18.00]   5.50  *24.50* 2.00   0.75    20.00
 psf       : (   20.50,    21.25)   15.00     ---     ---     ---     ---
 psf       : (  [20.50],  [21.25]) [15.00]    ---    ---    ---    ---
 sky       : [ 20.50,  20.50]  1.00e+00  [1.00e-03]  -2.00e-03
"""

HIDDEN = """
 0) sersic
 1) 20.5 21.25 1 1
 3) 15 1
 4) 5.5 1
 5) 2.25 1
 9) 0.75 1
10) 20 0
R0) power
R1) 2 1
R2) 20 0
R3) 60 1
R4) 0.5 1
R9) 2 1
R10) 15 1
F1) 0.125 20 1 1
F3) 0.0005 10 1 0
C0) 0.5 1
B2) -0.25 0
B1) 0.005 1
 0) expdisk
 1) 20.5 21.25 0 0
 3) 15 0
 4) 5.5 0
 9) 0.75 0
10) 20 0
C0) 2.5 1
B1) 0.25 1
F2) 0.125 20 0 0
R0) log
R1) 2 0
R2) 20 0
R3) 60 0
R4) 5 1
R9) 20 0
R10) 15 0
Ti) 3
To) 4
T0) radial
T1) 20.5 21.25 1 0
T4) 8 1
T5) 4 0
T9) 0.75 1
T10) 20 1
T0) radial2-b
T4) 0.25 1
T5) 18 0
T0) height
T4) 8 0
T5) 4 1
T9) 0.05 1
 0) sky
 1) -1234.5 0
 2) 0 0
 3) 12 1
"""

HIDDEN_PRINTED = """\
 sersic    : (   20.50,    21.25)   15.00      5.50    2.25    0.75   [20.00]
   power   :     2.00    [20.00]   60.00      0.50     ---   *2.00*   15.00
   fourier : (1:  0.12,   20.00)   (3: *0.00*, [10.00])  \n\
   c0      :      0.50 \n\
   bend    : (1: *5.00e-03*) (2: [-2.50e-01]) \n\
 expdisk3 /\\: (  [20.50],  [21.25]) [15.00]    [5.50]    ---   [0.75]  [20.00]
   c0      :     *2.50* \n\
   bend    : (1:  2.50e-01)  \n\
   fourier : (2: [0.12], [20.00])  \n\
   log     :     [2.00]   [20.00]  [60.00]    *5.00*    ---  [20.00]  [15.00]
 radial    : [2] [0]  (   20.50,   [21.25])    8.00   [4.00]   0.75    20.00
 radial2-b  : [0] [2]    *0.25* [18.00]
 height    : [0] [0]  [8.00] 4.00 *0.05* [0.00]
 sky       : [ 20.50,  20.50]  [-1234.50]  [0.00e+00]    12.00
"""


@pytest.mark.parametrize(("menu", "text"), [(FUNCTIONS, FUNCTIONS_PRINTED), (HIDDEN, HIDDEN_PRINTED)])
def test_printed(menu, text):
    assert printed(menu).splitlines() == text.splitlines()


def test_lists_of_truncated_components():
    light = " 0) sersic\n 1) 20 20 0 0\n 3) 15 0\n 4) 5 0\n 5) 2 0\n 9) 0.7 0\n10) 20 0\nTi) 3\nTo) 3\n"
    lines = printed(light + light + "T0) radial\nT4) 1234567.6 0\nT5) 4 0\n").splitlines()
    assert lines[2] == " radial    : [1, 2] [1, 2]  [1234567.62]  [4.00]"


SERSIC = """
 0) sersic
 1) 46.5265 48.2556 1 1
 3) 22.9761 1
 4) 2.6233 1
 5) 4.1097 1
 9) 0.8572 1
10) -71.7466 1
"""
SERSIC_ERRORS = {"1": 0.0220, "2": 0.0218, "3": 0.0228, "4": 0.1130, "5": 0.2862, "9": 0.0242, "10": 5.8808}


@pytest.mark.parametrize(
    ("menu", "errors", "text"),
    [
        (
            SERSIC.replace("46.5265 48.2556", "30.5265 31.2556"),
            SERSIC_ERRORS,
            " sersic    : (   30.53,    31.26)   22.98      2.62    4.11    0.86   -71.75\n"
            "             (    0.02,     0.02)    0.02      0.11    0.29    0.02     5.88\n",
        ),
        (
            " 0) expdisk\n 1) 30.1578 31.4241 1 1\n 3) 12.0034 1\n 4) 4.9992 1\n 9) 0.7 1\n10) 20.2768 1\n",
            {"1": 0.0108, "2": 0.0149, "3": 0.0022, "4": 0.0153, "9": 0.0017, "10": 0.3058},
            " expdisk   : (   30.16,    31.42)   12.00      5.00    0.70    20.28\n"
            "             (    0.01,     0.01)    0.00      0.02    0.00     0.31\n",
        ),
        (
            " 0) devauc\n 1) 30.2046 31.4149 1 1\n 3) 11.9982 1\n 4) 5.0303 1\n 9) 0.7052 1\n10) 20.1433 1\n",
            {"1": 0.0058, "2": 0.0058, "3": 0.0026, "4": 0.0306, "9": 0.0037, "10": 0.4579},
            " devauc    : (   30.20,    31.41)   12.00      5.03   [4.00]   0.71    20.14\n"
            "             (    0.01,     0.01)    0.00      0.03   [0.00]   0.00     0.46\n",
        ),
        (
            " 0) edgedisk\n 1) 30.2134 31.3299 1 1\n 3) 17.0111 1\n 4) 3.0209 1\n 5) 8.0464 1\n10) 20.1481 1\n",
            {"1": 0.0210, "2": 0.0572, "3": 0.0056, "4": 0.0217, "5": 0.0534, "10": 0.0965},
            " edgedisk  : (   30.21,    31.33)   17.01      3.02    8.05    20.15\n"
            "             (    0.02,     0.06)    0.01      0.02    0.05     0.10\n",
        ),
        (
            " 0) nuker\n 1) 30.2887 31.3319 1 1\n 3) 17.9704 1\n 4) 7.823 1\n 5) 2.4698 1\n 6) 1.3814 1\n 7) 0.2912 1\n"
            " 9) 0.7086 1\n10) 19.651 1\n",
            {"1": 0.03, "2": 0.0417, "3": 0.1137, "4": 0.7427, "5": 0.5772, "6": 0.1842, "7": 0.0427, "9": 0.0051,
             "10": 0.6098},
            " nuker     : (   30.29,    31.33) 17.97   7.82  2.47 1.38 0.29  0.71    19.65\n"
            "             (    0.03,     0.04)  0.11   0.74  0.58 0.18 0.04  0.01     0.61\n",
        ),
        (
            " 0) ferrer\n 1) 30.2103 31.4462 1 1\n 3) 16.9935 1\n 4) 19.5656 1\n 5) 1.9031 1\n 6) 1.0218 1\n"
            " 9) 0.7044 1\n10) 19.8356 1\n",
            {"1": 0.0256, "2": 0.0354, "3": 0.0312, "4": 0.4447, "5": 0.1603, "6": 0.0721, "9": 0.0036, "10": 0.5809},
            " ferrer    : (   30.21,    31.45)  16.99   19.57    1.90  1.02   0.70    19.84\n"
            "             (    0.03,     0.04)   0.03    0.44    0.16  0.07   0.00     0.58\n",
        ),
        (
            " 0) king\n 1) 30.2205 31.3902 1 1\n 3) 17.0283 1\n 4) 4.1604 1\n 5) 24.4751 1\n 6) 1.977 1\n 9) 0.6823 1\n"
            "10) 18.2673 1\n",
            {"1": 0.0303, "2": 0.0412, "3": 0.12, "4": 0.2217, "5": 3.0821, "6": 0.3512, "9": 0.0078, "10": 1.1558},
            " king      : (   30.22,    31.39)  17.03    4.16  *24.48* 1.98   0.68    18.27\n"
            "             (    0.03,     0.04)   0.12    0.22   *3.08* 0.35   0.01     1.16\n",
        ),
        (
            " 0) king\n 1) 30 31 0 0\n 3) 21 0\n 4) 3 0\n 5) 20 0\n 6) 2 0\n 9) 0.7 0\n10) 20 0\n",
            {},
            " king      : (  [30.00],  [31.00]) [21.00]  [3.00] [20.00] [2.00] [0.70]  [20.00]\n"
            "             (   [0.00],   [0.00]) [0.00]  [0.00]  [0.00] [0.00] [0.00]   [0.00]\n",
        ),
        (
            " 0) psf\n 1) 30.2005 31.3983 1 1\n 3) 12.0029 1\n",
            {"1": 0.0024, "2": 0.0024, "3": 0.002},
            " psf       : (   30.20,    31.40)   12.00\n"
            "             (    0.00,     0.00)    0.00\n",
        ),
        (
            " 0) sky\n 1) 0.73 1\n 2) 0 0\n 3) 0 0\n",
            {"1": 0.1043},
            " sky       : [ 20.50,  20.50]  7.30e-01  [0.00e+00]  [0.00e+00]\n"
            "                                1.04e-01  [0.00e+00]  [0.00e+00]\n",
        ),
        (
            " 0) sky\n 1) -14.39 1\n 2) 0.158 1\n 3) 1.45 1\n",
            {"1": 28.18, "2": 0.761, "3": 0.76},
            " sky       : [ 20.50,  20.50]   -14.39  1.58e-01     1.45\n"
            "                                 28.18  7.61e-01    0.76\n",
        ),
        (
            " 0) sky\n 1) -1234.5 0\n 2) -12 0\n 3) 123 0\n",
            {},
            " sky       : [ 20.50,  20.50]  [-1234.50]  [-12.00]  [123.00]\n"
            "                                 [0.00]   [0.00]   [0.00]\n",
        ),
    ],
    ids=["sersic", "expdisk", "devauc", "edgedisk", "nuker", "ferrer", "king", "king fixed", "psf", "sky", "steep sky",
         "sky fixed"],
)  # fmt: skip
def test_logged(menu, errors, text):
    assert logged(menu, errors) == text


def test_logged_tied():
    menu = SERSIC.replace("46.5265 48.2556", "24.9514 23.9606").replace("3) 22.9761", "3) 16.8401")
    assert logged(menu, tied="1 2 3 4 5 9 10") == (
        " sersic    : (  {24.95},  {23.96}) {16.84}    {2.62}  {4.11}  {0.86} {-71.75}\n"
        "             (   {0.00},   {0.00})  {0.00}    {0.00}  {0.00}  {0.00}   {0.00}\n"
    )


def test_logged_wide_errors():
    menu = " 0) sersic\n 1) 31.7 16.96 1 1\n 3) 60 1\n 4) 4.66 1\n 5) 1.55 1\n 9) 0.69 1\n10) 84.52 1\n"
    values = (46643447913775104.0, 37244650720854016.0, 13118369867759616.0, 102180407297966080.0,
              57412747696013312.0, 12582558738939904.0, 1757704027174338560.0)  # fmt: skip
    assert logged(menu, dict(zip(("1", "2", "3", "4", "5", "9", "10"), values, strict=True))) == (
        " sersic    : (   31.70,    16.96)  *60.00*     4.66    1.55    0.69    84.52\n"
        "             (46643447913775104.00, 37244650720854016.00) *13118369867759616.00* 102180407297966080.00"
        " 57412747696013312.00 12582558738939904.00 1757704027174338560.00\n"
    )


def test_undefined_errors():
    lines = logged(PLAIN.format(pa=1), dict.fromkeys(SERSIC_ERRORS, math.nan)).splitlines()
    assert lines[1] == "             (     nan,      nan)     nan       nan     nan     nan      nan"


PLAIN = " 0) sersic\n 1) 20 20 1 1\n 3) 15 1\n 4) 5 1\n 5) 2 1\n 9) 0.7 1\n10) 20 {pa}\n"


@pytest.mark.parametrize(
    ("lines", "angle", "errors", "text"),
    [
        ("B1) 0.093 1\n", 0, {"b1": 0.297}, ["   bend    : (1:  9.30e-02)  ", "             (1:  2.97e-01)  "]),
        ("B1) 0.1 0\n", 1, {}, ["   bend    : (1: [1.00e-01]) ", "             (1: [0.00e+00]) "]),
        ("C0) 0.19 1\n", 1, {"c0": 0.51}, ["     c0    :    0.19 ", "           :    0.51 "]),
        ("C0) 2.5 1\n", 1, {"c0": 67357.17}, ["     c0    :    2.50 ", "           :  67357.17 "]),
        ("C0) 0.1 0\n", 0, {}, ["     c0    :   [0.10] ", "           :   [0.00] "]),
        (
            "F1) 0.09 19.02 1 1\nF3) 0.05 10 0 0\n",
            1,
            {"f1a": 13.85, "f1p": 40.52},
            ["   fourier : (1:  0.09,   19.02)  (3: [0.05], [10.00]) ",
             "             (1: 13.85,   40.52)  (3: [0.00],  [0.00]) "],
        ),
        (
            "R0) power\nR1) -0.46 1\nR2) 20.65 1\nR3) 62.29 1\nR4) 0.25 1\nR9) 2.68 1\nR10) 14.12 1\n",
            1,
            {"r1": 336.27, "r2": 302.64, "r3": 1581.74, "r4": 13.87, "r9": 980.11, "r10": 23873.79},
            ["   power   :     -0.46     20.65    62.29      0.25   *2.68*   14.12",
             "           :    336.27    302.64  1581.74     13.87 *980.11* 23873.79"],
        ),
        (
            "R0) power\nR1) -0.46 1\nR2) 20.65 1\nR3) 62.29 1\nR4) 0.25 1\nR9) 2.68 1\nR10) 14.12 1\n",
            0,  # its closing bracket shortens the first field two lines below
            {},
            ["   power   :    -0.46     20.65    62.29      0.25   *2.68*   14.12",
             "           :      0.00      0.00     0.00      0.00   *0.00*    0.00"],
        ),
        (
            "R0) log\nR1) 2 0\nR2) 20 0\nR3) 60 0\nR4) 3 0\nR9) 20 0\nR10) 15 0\n",
            0,
            {},
            ["     log   :    [2.00]   [20.00]  [60.00]    [3.00] [20.00]  [15.00]",
             "           :    [0.00]    [0.00]   [0.00]    [0.00]  [0.00]   [0.00]"],
        ),
    ],
)  # fmt: skip
def test_logged_hidden(lines, angle, errors, text):
    assert logged(PLAIN.format(pa=angle) + lines, errors).splitlines()[2:] == text


@pytest.mark.parametrize(
    ("block", "errors", "text"),
    [
        (
            "T0) radial\nT1) 20.57 20.26 1 1\nT4) 8.85 1\nT5) 2.6 1\nT9) 0.82 1\nT10) 21.64 1\n",
            {"1": 1.14, "2": 0.69, "4": 4.54, "5": 7.54, "9": 0.15, "10": 40.56},
            [" radial    : [0] [2]  (   20.57,    20.26)    8.85    2.60    0.82   21.64",
             "                        (  1.14,     0.69)    4.54    7.54    0.15   40.56"],
        ),
        (
            "T0) radial\nT1) 20.5 20.3 0 0\nT4) 8 0\nT5) 4 0\nT9) 0.7 0\nT10) 20 0\n",
            {},
            [" radial    : [0] [2]  (  [20.50],  [20.30])  [8.00]  [4.00]  [0.70] [20.00]",
             "                        ( [0.00],    [0.00])   [0.00]   [0.00]   [0.00]   [0.00]"],
        ),
        (
            "T0) radial-b\nT4) 9.6 1\nT5) 2.18 1\n",
            {"4": 3.77, "5": 6.03},
            [" radial-b   : [0] [2]     9.60    2.18",
             "                         3.77    6.03"],
        ),
        (
            "T0) length2\nT4) 5.15 0\nT5) 8.49 0\n",
            {},
            [" length2    : [0] [2]    [5.15]  [8.49]",
             "                        [0.00]   [0.00]"],
        ),
    ],
)  # fmt: skip
def test_logged_truncation(block, errors, text):
    assert logged(block + PLAIN.format(pa=1) + "To) 1\n", errors).splitlines() == text


@pytest.mark.parametrize(
    ("block", "errors", "text"),
    [
        (
            "T0) radial2\nT4) 7.7662 1\nT5) 29.9583 1\nT9) 0.09 1\n",
            {"4": 209.14, "5": 6.76, "9": 0.29},
            [" radial2    : [0] [2]     7.77   29.96   *0.09*  [0.00]",
             "                       209.14    6.76    0.29   [0.00]"],
        ),
        (
            "T0) radial\nT4) 0.01 1\nT5) 4 0\n",
            {"4": 60117.2},
            [" radial    : [0] [2]    *0.01*  [4.00]",
             "                      60117.20   [0.00]"],
        ),
        (
            "T0) radial2\nT4) 8 0\nT5) 8.0644 1\n",
            {"5": 0.1686},
            [" radial2    : [0] [2]    [8.00]  *8.06*",
             "                        [0.00]   *0.17*"],
        ),
        (
            "T0) radial\nT1) 30.21 3.33 1 1\nT4) 8 0\nT5) 4 0\nT9) 0.06 1\nT10) 21.04 1\n",
            {"1": 852.88, "2": 2199.24, "9": 36.98, "10": 6063.65},
            [" radial    : [0] [2]  (   30.21,     3.33)   [8.00]  [4.00]  *0.06*  21.04",
             "                        (852.88,   2199.24)   [0.00]   [0.00]   36.98 6063.65"],
        ),
        (
            "T0) radial\nT1) -12.9 17 1 0\nT4) 7.83 1\nT5) 17.24 1\nT9) 0.83 1\nT10) -66.81 1\n",
            {"1": 133.83, "4": 112.39, "5": 23.25, "9": 2.08, "10": 451.45},
            [" radial    : [0] [2]  ( *-12.90*,  [17.00])   7.83   17.24    0.83  -66.81",
             "                        (*133.83*,    [0.00])  112.39   23.25    2.08  451.45"],
        ),
        (  # behind a y that is outside, free or fixed, all errors are starred
            "T0) radial\nT1) -10.16 -2 1 0\nT4) 0.01 1\nT5) 44.28 1\nT9) 0.85 1\nT10) 74.63 1\n",
            {"1": 118.7, "4": 96.63, "5": 75.97, "9": 2.74, "10": 698.75},
            [" radial    : [0] [2]  ( *-10.16*,  [-2.00])  *0.01*  44.28    0.85   74.63",
             "                        (*118.70*,    [0.00])  *96.63*  *75.97*   *2.74* *698.75*"],
        ),
        (
            "T0) length\nT1) 98 -102 1 1\nT4) 0.01 1\nT5) 7 0\n",
            {"1": 78.0, "2": 34.62, "4": 33.62},
            [" length    : [0] [2]  (   98.00,  -102.00)   *0.01*  [7.00]",
             "                        ( 78.00,    34.62)   33.62   [0.00]"],
        ),
    ],
    ids=["wide", "small", "touching", "wide centre", "x outside", "y outside", "length"],
)  # fmt: skip
def test_logged_truncation_that_is_doubtful(block, errors, text):
    assert logged(block + PLAIN.format(pa=1) + "To) 1\n", errors).splitlines() == text


def test_radii_that_have_changed_places_are_logged_in_order_and_printed_as_they_are():
    parsed = job("T0) radial2\nT4) 12 1\nT5) 12.09 0\n" + PLAIN.format(pa=1) + "To) 1\n")
    fitted = parsed.updated({ParamRef(1, "4"): Parameter(12.1755, 1, 0.0875)})
    assert log_lines(fitted.components[0], fitted, REGION) == [
        " radial2    : [0] [2]   [12.09] *12.18*",
        "                        [0.00]   *0.09*",
    ]
    assert progress_lines(fitted.components[0], fitted, REGION) == [" radial2   : [0] [2]   *12.18* [12.09]"]


MODES = "".join(f"F{n}) 0.05 10 1 1\n" for n in range(1, 8))
BENDS = "".join(f"B{n}) 0.05 0\n" for n in range(1, 6))


def test_modes_are_three_a_line_and_bends_four():
    assert printed(PLAIN.format(pa=1) + MODES + BENDS).splitlines()[1:] == [
        "   fourier : (1:  0.05,   10.00)   (2:  0.05,   10.00)   (3:  0.05,   10.00)   ",
        "   fourier : (4:  0.05,   10.00)   (5:  0.05,   10.00)   (6:  0.05,   10.00)   ",
        "   fourier : (7:  0.05,   10.00)   ",
        "   bend    : (1: [5.00e-02]) (2: [5.00e-02]) (3: [5.00e-02]) (4: [5.00e-02]) ",
        "   bend    : (5: [5.00e-02]) ",
    ]
    assert logged(PLAIN.format(pa=1) + MODES + BENDS, {"f1a": 0.36, "f4p": 2328.97}).splitlines()[2:] == [
        "   fourier : (1:  0.05,   10.00)  (2:  0.05,   10.00)  (3:  0.05,   10.00)  ",
        "             (1:  0.36,    0.00)  (2:  0.00,    0.00)  (3:  0.00,    0.00)  ",
        "   fourier : (4:  0.05,   10.00)  (5:  0.05,   10.00)  (6:  0.05,   10.00)  ",
        "             (4:  0.00, 2328.97)  (5:  0.00,    0.00)  (6:  0.00,    0.00)  ",
        "   fourier : (7:  0.05,   10.00)  ",
        "             (7:  0.00,    0.00)  ",
        "   bend    : (1: [5.00e-02]) (2: [5.00e-02]) (3: [5.00e-02]) (4: [5.00e-02]) ",
        "             (1: [0.00e+00]) (2: [0.00e+00]) (3: [0.00e+00]) (4: [0.00e+00]) ",
        "   bend    : (5: [5.00e-02]) ",
        "             (5: [0.00e+00]) ",
    ]


WIDE = """
 0) sersic
 1) -123456.789 1e12 0 1
 3) 123456.789 1
 4) 1e20 0
 5) 0.01 0
 9) 0.8 0
10) 20 0
C0) -100 0
F9) 1e5 11 1 1
F33) -123456.789 3 1 0
B2) 1e12 1
R0) log
R1) 1e5 0
R2) 1e12 1
R3) -123456.789 0
R4) 1e12 1
R9) 30 1
R10) 15 0
 0) nuker
 1) 16.3 -9999.996 1 1
 3) 1e5 0
 4) 1e12 1
 5) 1e5 1
 6) 99999.99 0
 7) -10000 0
 9) 0.8 1
10) 20 1
 0) king
 1) 16.3 16.8 1 1
 3) -10000 0
 4) 123456.789 1
 5) 1e12 0
 6) 1e5 1
 9) 0.8 1
10) 20 0
C0) 1e38 1
"""

WIDE_PRINTED = """\
 sersic    : ([-123456.79], *999999995904.00*) *123456.79* [100000002004087734272.00]  [0.01]  [0.80]  [20.00]
   c0      :    [-100.00] 
   fourier : (9:100000.00,   11.00)   (33:-123456.79,   [3.00])  
   bend    : (2:  1.00e+12)  
   log     : [100000.00] 999999995904.00 [-123456.79] *999999995904.00*    ---   30.00   [15.00]
 nuker     : (   16.30, *-10000.00*) [100000.00] 999999995904.00 *100000.00* [99999.99] [-10000.00] 0.80    20.00
 king      : (   16.30,    16.80) [-10000.00] 123456.79 [999999995904.00] *100000.00*  0.80   [20.00]
   c0      :    *99999996802856924650656260769173209088.00* 
"""  # noqa: W291


def test_numbers_that_do_not_fit_widen_the_line():
    assert printed(WIDE).splitlines() == WIDE_PRINTED.splitlines()


def result(fitted: Job) -> FitResult:
    return FitResult(fitted, Status.CONVERGED, 12695.0479937846, 8641, (), np.zeros((0, 0)), (), 9, np.zeros((40, 40)))


def test_entry():
    fitted = job(" 0) psf\n 1) 30.2005 31.3983 0 0\n 3) 12.0029 1\n")
    assert entry(result(fitted), REGION, "galfit.07") == (
        "-----------------------------------------------------------------------------\n"
        "\n"
        "Input image     : d.fits[1:40,1:40] \n"
        "Init. par. file : in.feed \n"
        "Restart file    : galfit.07 \n"
        "Output image    : out.fits \n"
        "\n"
        " psf       : (  [30.20],  [31.40])  12.00\n"
        "             (   [0.00],   [0.00])   0.00\n"
        " Chi^2 = 12695.04799,  ndof = 8641\n"
        " Chi^2/nu = 1.469 \n"
        "\n"
        "-----------------------------------------------------------------------------\n"
    )


SKY = job(" 0) sky\n 1) 1.392 1\n 2) 0 0\n 3) 0 0\n")


def test_opening():
    text = report.opening(SKY, "#  Input menu file: in.feed\n", ("-- one", "   two"))
    assert text == f"\n{report.version()}\n\n\n\n#  Input menu file: in.feed\n\n\n\n-- one\n   two\n\n"


def test_initial():
    assert report.initial(SKY, REGION) == (
        f"{'=' * 80}\nInitial parameters:\n sky       : [ 20.50,  20.50]     1.39  [0.00e+00]  [0.00e+00]\n{'=' * 80}\n"
    )


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (
            (1, 63.9, -1.81e21, 1e-3),
            " 1     Chi2nu: 6.390e+01     dChi2/Chi2: -1.81e+21   alamda: 1e-03     ",
        ),
        (
            (14, 1.4691, 1.12e-8, 1e-4),
            " 14    Chi2nu: 1.469e+00     dChi2/Chi2: 1.12e-08    alamda: 1e-04     ",
        ),
        ((101, 2.0, -0.5, 1e99), " 101    Chi2nu: 2.000e+00     dChi2/Chi2: -5.00e-01   alamda: 1e+99     "),
    ],
)
def test_iteration(step, line):
    text = report.iteration(Iteration(*step, SKY), 10, REGION)
    assert (
        text
        == f"\nIteration :{line}\n sky       : [ 20.50,  20.50]     1.39  [0.00e+00]  [0.00e+00]\nCOUNTDOWN = 10 \n"
    )


def test_endings():
    summary = "Fit summary is now being saved into `fit.log'.\n\n"
    assert report.ending(SKY, REGION, limit_reached=False) == f"\n\n{summary}"
    assert report.ending(SKY, REGION, limit_reached=True) == (
        "\n\n The fitting ended because the maximum number of iterations \n"
        f" has been reached, not necessarily because of convergence!\n\n\n\n{summary}"
    )
    assert report.nothing_free() == (f"\n-- No free parameters to fit.  Creating images only.\n\n\n\n{summary}")
    assert report.images_only() == "\n-- Creating output image....\n\n"


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        ({}, False),
        ({"5": Parameter(12.0, 1)}, True),
        ({"5": Parameter(12.0, 0)}, True),
        ({"1": Parameter(50.0, 1)}, True),
        ({"1": Parameter(50.0, 0)}, False),
        ({"6": Parameter(12.0, 0)}, False),
    ],
    ids=["good", "free index", "fixed index", "free position", "fixed position", "unused"],
)
def test_warning_of_a_numerical_problem(change, warned):
    plain = job(PLAIN.format(pa=1))
    changed = plain.updated({ParamRef(1, key): parameter for key, parameter in change.items()})
    text = report.ending(changed, REGION, limit_reached=False)
    assert ("WARNING: Possible numerical problem" in text) == warned


def test_an_expdisk_is_no_numerical_problem():
    disk = job(" 0) expdisk\n 1) 20 20 1 1\n 3) 15 1\n 4) 5 1\n 9) 0.7 1\n10) 20 1\n")
    assert "WARNING" not in report.ending(disk, REGION, limit_reached=False)


def test_failure_can_be_recognised():
    lines = report.failure("gaussj: Singular Matrix").splitlines()
    assert "...now exiting to system..." in lines
    assert any("Doh!" in line for line in lines)
    assert "gaussj: Singular Matrix" in lines
    assert not any("Fit summary" in line for line in lines)


@pytest.mark.parametrize(
    "word",
    ["-imax", "-noskyest", "-skyped", "-skyrms", "-o1", "-o2", "-o3", "-outsig", "-help", "galfeed"]
    + [f" {flag}  " for flag in "1 2 A-1 A-2 A-3 A-4 A-5 A-6 C-1 C-2 H-1 H-2 H-3 H-4 I-1 I-2 I-3 I-4 I-5".split()],
)
def test_help_names_options_and_flags(word):
    assert word in report.help_text()
