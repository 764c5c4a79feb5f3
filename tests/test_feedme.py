"""Menus are read and printed as GALFIT does.

What is expected here was seen in runs of GALFIT 3.0.5: it prints a menu as it has understood it, so that a line and its
echo show the rule.  ``tests/menus`` holds whole menus with their echo.
"""

from __future__ import annotations

import csv
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galfeed import feedme
from galfeed.errors import FeedmeError, GalfeedError, UnsupportedError
from galfeed.feedme import menu
from galfeed.job import (
    BendingMode,
    Component,
    Control,
    FourierMode,
    Job,
    Parameter,
    Rotation,
)
from galfeed.tables import header_specs

HERE = Path(__file__).parent
MENUS = sorted(HERE.glob("menus/*.feedme"))
FIXTURES = sorted(p.parents[1] for p in HERE.parent.glob("compat_fixtures/*/expected/stdout.txt"))
RESTARTS = sorted(HERE.parent.glob("compat_fixtures/*/expected/galfit.01"))
CORPUS = HERE.parents[1] / "shared" / "feedmes"

CONTROL = "A) none\nB) model.fits\nH) 1 20 1 20\n"
SERSIC = "0) sersic\n1) 10 11 1 1\n3) 15 1\n4) 3 1\n5) 2 1\n9) .7 1\n10) 20 1\n"
TRUNCATION = "T0) radial\nT4) 8 0\nT5) 4 0\n"


def echo(text: str) -> list[str]:
    """What is printed of a menu, without comments and titles."""
    lines = (line.split("#")[0].rstrip() for line in feedme.dump(feedme.parse(text, "in")).splitlines())
    return [line for line in lines if line and not line.startswith("=")]


def new(line: str, text: str = CONTROL + SERSIC) -> list[str]:
    """The printed lines that a line at the end of a menu brings about."""
    return [printed for printed in echo(f"{text}{line}\n") if printed not in echo(text)]


# Whole menus


@pytest.mark.parametrize("path", MENUS, ids=lambda p: p.stem)
def test_prints_a_menu_as_galfit_does(path):
    assert feedme.dump(feedme.load(path, path.name)) == path.with_suffix(".echo").read_text()


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda p: p.name)
def test_prints_the_menus_of_the_fixtures_as_galfit_does(folder):
    printed = feedme.dump(feedme.load(folder / "galfit.feedme", "galfit.feedme"))
    assert printed in (folder / "expected/stdout.txt").read_text()


@pytest.mark.parametrize("path", RESTARTS, ids=lambda p: p.parts[-3])
def test_prints_a_restart_file_as_galfit_does(path):
    text = path.read_text()
    job = feedme.load(path, "galfit.feedme")
    tied = [c.updated({k: replace(p, tied=p.toggle == 2) for k, p in c.parameters()}) for c in job.components]
    comments = feedme.load(path.parents[1] / "galfit.feedme", "").control.comments
    job = replace(job, components=tuple(tied), control=replace(job.control, comments=comments))
    chi2nu, chi2, ndof = re.search(r"nu = (\S+),  Chi\^2 = (\S+),  Ndof = (\d+)", text).groups()
    assert feedme.dump(job, float(chi2nu), float(chi2), int(ndof)) == text


def test_there_are_menus_and_fixtures():
    assert len(MENUS) >= 5
    assert len(FIXTURES) >= 5


# Control lines


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("A) gal.fits # comment", ["A) gal.fits"]),
        ("a) gal.fits x", ["A) gal.fits"]),
        ("An image name", ["A) image"]),
        ("Bad stuff", ["B) stuff"]),
        ("C1) sig.fits", ["C) sig.fits"]),
        ("D) psf.fits kern.txt # c", ["D) psf.fits   kern.txt"]),
        ("D) psf.fits kernellonger.txt", ["D) psf.fits   kernellonger.txt"]),
        ("E) 2.5", ["E) 2"]),
        ("F)", []),
        ("F) my mask.fits", ["F) my"]),
        ("H) -5 60 0 25", ["H) -5   60   0    25"]),
        ("I) 30", ["I) 30     0"]),
        ("I) 30 40", ["I) 30     40"]),
        ("J) 26.5635", ["J) 26.563"]),
        ("J) 123456789.123", ["J) 123456792.000"]),
        ("K) 0.03955 .1", ["K) 0.040  0.100"]),
        ("K) 0.038", ["K) 0.038  1.000"]),
        ("O) xyz", ["O) regular"]),
        ("P) 3", ["P) 3"]),
        ("P) -1", ["P) -1"]),
        ("S) 0\nW) x\nL\nM\nQ\nU) 1,2\nV\nY\nR) x", []),
        ("> x\n!\n*\n=== \n#A) x\n$x\n(c)\n\x07", []),
        ("K) .5 .6\nK) .1", ["K) 0.100  0.600"]),
    ],
)
def test_control_line(line, printed):
    assert new(line) == printed


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("A) gäl.fits", "A) gäl.fits           # Input data image (FITS file)"),
        ("D) long_name.fits k.txt", "D) long_name.fits k.txt    # Input PSF image and (optional) diffusion kernel"),
        ("I) 5 1234567", "I) 5      1234567       # Size of the convolution box (x y)"),
        ("J) 1e12", "J) 999999995904.000      # Magnitude photometric zeropoint "),
        ("J) 123456.789", "J) 123456.789          # Magnitude photometric zeropoint "),
        ("K) 10 100", "K) 10.000 100.000       # Plate scale (dx dy)   [arcsec per pixel]"),
        ("K) -12.5 -1", "K) -12.500 -1.000       # Plate scale (dx dy)   [arcsec per pixel]"),
    ],
)
def test_control_line_that_does_not_fit(line, printed):
    job = feedme.parse(f"{CONTROL}{line}\n{SERSIC}")
    assert printed in feedme.dump(job).splitlines()


@pytest.mark.parametrize(
    ("links", "printed"),
    [
        ("2", "Ti)  2                     #"),
        ("112", "Ti) 112                     #"),
        ("108 107 108", "Ti) 108 107 108               #"),
        ("2 2 2 2 2 2 2", "Ti)  2  2  2  2  2  2  2   #"),
        ("2 2 2 2 2 2 2 2 2", "Ti)  2  2  2  2  2  2  2  2  2   #"),
    ],
)
def test_links_leave_three_columns_a_component(links, printed):
    job = feedme.parse(f"{CONTROL}{SERSIC}Ti) {links}\n{TRUNCATION * 112}")
    (line,) = (line for line in feedme.dump(job).splitlines() if line.startswith("Ti)"))
    assert line == f"{printed}  Inner truncation by component number(s)"


def test_missing_control_lines():
    assert feedme.parse("H) 1 2 3 4\n0) sersic").control == Control(region=(1, 2, 3, 4))


def test_lines_are_known_by_number():
    job = feedme.parse(f"# one\n\n{CONTROL}====\n{SERSIC}", "in")
    sersic = job.components[0]
    assert (job.control.place("H").line, job.control.place("J").line, sersic.place().line) == (5, 0, 7)


@pytest.mark.parametrize("line", ["C) # Sigma image", "D) #\tInput PSF", "F) #"])
def test_a_comment_is_no_name_but_is_printed(line):
    job = feedme.parse(CONTROL + line + "\n" + SERSIC)
    assert "" in (job.control.sigma, job.control.psf, job.control.mask)
    assert any(printed.startswith(f"{line[0]}) #") for printed in feedme.dump(job).splitlines())
    kernel = feedme.parse(f"D) psf.fits # none\n{CONTROL}{SERSIC}").control
    assert (kernel.psf, kernel.kernel, kernel.comments) == ("psf.fits", "", (("kernel", "#"),))


# Parameters


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("3) 17", [" 3) 17.0000     1"]),
        ("3) 17 text", [" 3) 17.0000     1"]),
        ("3) 17 0.5", [" 3) 17.0000     0"]),
        ("3) 17 1.5", [" 3) 17.0000     1"]),
        ("3) 17 2", [" 3) 17.0000     2"]),
        ("3) 17 -1", [" 3) 17.0000     0"]),
        ("9) .5 -1", [" 9) 0.5000      -1"]),
        ("3) 17# 0", [" 3) 17.0000     1"]),
        ("3) +1.7e1 0#c", [" 3) 17.0000     0"]),
        ("3) .5", [" 3) 0.5000      1"]),
        ("3) -0", [" 3) -0.0000     1"]),
        ("1) -0 -0.0", [" 1) 0.0000   0.0000   1 1"]),
        ("3) 0x10", [" 3) 16.0000     1"]),
        ("3", []),
        ("3) # 17", []),
        ("3: 17 0\n3] 18", [" 3) 18.0000     0"]),
        ("100) 5 0", ["10) 5.0000      0"]),
        ("9999) 5 0", [" 9) 5.0000      0"]),
        ("T4) 5 0", [" 4) 5.0000      0"]),
        ("2) 5 1", []),
        ("1) 5", [" 1) 5.0000   11.0000  1 1"]),
        ("1) 5 6", [" 1) 5.0000   6.0000   1 1"]),
        ("1) 5 6 0", [" 1) 5.0000   6.0000   0 1"]),
        ("1) 5 6 -1 -1", [" 1) 5.0000   6.0000   0 0"]),
        ("11) 5 6 2 0", [" 1) 5.0000   6.0000   2 0"]),
        ("Z) 1", [" Z) 1"]),
        ("z) 1 1", [" Z) 1"]),
        ("Z) 1\nZ) 0\n8) 1 1", [" 8) 1.0000      1"]),
        ("J) 25", ["J) 25.000"]),
    ],
)
def test_parameter(line, printed):
    assert new(line) == printed


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("C0) .1", ["C0) 0.1000      1"]),
        ("C0) .1 0\nC0)", ["C0) 0.0000      1"]),
        ("C0) 0 0", []),
        ("B2) .1", ["B2) 1.000e-01   1"]),
        ("B1) 0 1", ["B1) 1.000e-02   1"]),
        ("B1) 0 0", []),
        ("B1) .1 -1", []),
        ("B01) -0.1 2", ["B1) -1.000e-01   2"]),
        ("B12) inf 0", ["B12) inf         0"]),
        ("F1) .1 30", ["F1) 0.1000   30.0000  1 1"]),
        ("F1) .1 30 0", ["F1) 0.1000   30.0000  0 1"]),
        ("F1)", ["F1) 0.0100   0.0000   1 1"]),
        ("F1) 0 30 1 1", ["F1) 0.0100   30.0000  1 1"]),
        ("F1) 0 0 0 0", []),
        ("F1) .1 2 0 0\nF1) .3", ["F1) 0.3000   2.0000   1 1"]),
        ("F3) .1 2\nC0) .1\nF1) .2 1", ["F1) 0.2000   1.0000   1 1", "F3) 0.1000   2.0000   1 1", "C0) 0.1000      1"]),
        ("R0) none", []),
        ("R1) 2\nR0) none", []),
        (
            "R0) powerlaw",
            ["R0) power", *(f"R{k}) 0.0000      0" for k in "1234"), "R9) 1.0000      0", "R10) 0.0000     0"],
        ),
        (
            "R20) 2 1",
            ["R0) log", "R1) 0.0000      0", "R2) 2.0000      1", "R3) 0.0000      0"]
            + ["R4) 0.0000      0", "R9) 1.0000      0", "R10) 0.0000     0"],
        ),
    ],
)
def test_hidden_parameter(line, printed):
    assert new(line) == printed


def test_toggles_of_hidden_parameters_and_sky():
    job = feedme.parse(f"{CONTROL}{SERSIC}C0) .1 2\nF1) .1 30 3 1\n0) sky\n1) 100 2\n2) 0 -1\n3) 1 5\n")
    free = {f"{c.number}.{key}" for c in job.components for key, p in c.parameters() if p.free}
    tied = {f"{c.number}.{key}" for c in job.components for key, p in c.parameters() if p.tied}
    assert free == {"1.1", "1.2", "1.3", "1.4", "1.5", "1.9", "1.10", "1.f1p"}
    assert tied == {"1.c0", "2.1"}


@pytest.mark.parametrize(
    ("lines", "printed"),
    [
        ("T1) 5 6 1 0", ["T1) 5.0000   6.0000   1 0"]),
        ("T1) 5 6", []),
        ("T1) 5 6 1", ["T1) 5.0000   6.0000   1 0"]),
        ("1) 5 6 0 0", ["T1) 5.0000   6.0000   0 0"]),
        ("T9) .5 1", ["T9) 0.5000      1", "T10) 0.0000     -1"]),
        ("T9) .5\nT10) 3 1", []),
        ("T10) 3 1", []),
        ("5) 2 -1\n3) 1 1\nZ) 1", ["T5) 2.0000      -1"]),
    ],
)
def test_truncation(lines, printed):
    text = f"{CONTROL}{SERSIC}To) 2\n{TRUNCATION}"
    assert new(lines, text) == printed


def test_radii_of_a_truncation_of_type_2_are_sorted():
    assert echo(CONTROL + SERSIC + "Ti) 2\nT0) radial2\nT4) 9 1\nT5) 5 0")[-2:] == [
        "T4) 5.0000      0",
        "T5) 9.0000      1",
    ]


@pytest.mark.parametrize(
    ("word", "links", "name", "variant", "header"),
    [
        ("sersic", "", "sersic", 0, "MAG"),
        ("sersic1", "", "sersic1", 1, "MAG"),
        ("sersic2", "", "sersic2", 2, "MU_E"),
        ("sersic_2x", "", "sersic_2x", 2, "MU_E"),
        ("sersic", "To) 2 2 # two", r"sersic1 \\", 1, "MU_0"),
        ("sersic", "Ti) 2", "sersic3 /", 3, "MUBRK"),
        ("sersic1 \\", "Ti) 2\nTo) 2", r"sersic1 /\\"[:-1], 1, "MUBRK"),
        ("ferrers2", "Ti) 2", "ferrers2 /", 2, "MU_0"),
        ("king", "", "king", 0, ""),
    ],
)
def test_name(word, links, name, variant, header):
    text = f"{CONTROL}{SERSIC}{links}\n{TRUNCATION}".replace("sersic", word)
    component = feedme.parse(text).components[0]
    assert (component.name, component.variant, component.kind in word) == (name, variant, True)
    assert header_specs(component)["3"].header == header


# Warnings and refusals


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("3 ) 17 0", "')' stands apart from '3', so the values after it are not read"),
        ("2) 11 1", "'2)' is not used: x and y, with a toggle each, belong in line 1)"),
        ("I) 30.0 30.0", "'30.0' is no whole number, so the box is read as 30 0"),
        ("R1) 1\nR0) power", "'power' comes too late, the rotation is 'log' already; put R0) first"),
        ("8) .5 1\n9) 30", "8) looks like an axis ratio"),
        ("Bad stuff", "'Bad' is read as 'B)', expected # in front of a comment"),
        ("Zero 1", "'Zero' is read as 'Z)', expected # in front of a comment"),
        ("12) 3 4 1 1", "'12)' is read as '1)'"),
        ("C) 0.1 1", "'C)' names the sigma image, expected 'C0)' for diskyness"),
    ],
)
def test_warns_of_what_is_read_otherwise_than_it_looks(line, warning):
    (found,) = feedme.parse(CONTROL + SERSIC + line, "in").warnings
    assert re.match(rf"in:\d+: {re.escape(warning)}", str(found))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "in: no component, expected at least one, such as 0) sersic"),
        (CONTROL, "in: no component, expected at least one, such as 0) sersic"),
        ("A) x\0", "in: this is no text, expected an input file"),
        ("A) x\n0) sersic", "in: no H) line, expected the region to fit, H) xmin xmax ymin ymax"),
        ("H) 1 2 3", "in:1: nothing after '3', expected four whole numbers, xmin xmax ymin ymax"),
        ("\nH) 1,2,3,4", "in:2: '1,2,3,4' after 'H)', expected four whole numbers, xmin xmax ymin ymax"),
        ("H) 1 2.5 3 4", "in:1: '2.5' after '1', expected four whole numbers, xmin xmax ymin ymax"),
        ("E) 0\n" + CONTROL + SERSIC, "in:1: E) is 0, expected PSF pixels per data pixel, 1 or more"),
        ("3) 20 1\n" + CONTROL + SERSIC, "in:1: '3)' stands before the first component, expected 0) or T0) first"),
        (
            CONTROL + "0) Sersic",
            "in:4: unknown component 'Sersic', expected one of sersic, devauc, expdisk, gaussian, "
            "moffat, nuker, ferrer, king, edgedisk, psf, sky",
        ),
        (
            CONTROL + "0)",
            "in:4: nothing after '0)', expected the name of a function, one of sersic, devauc, expdisk, "
            "gaussian, moffat, nuker, ferrer, king, edgedisk, psf, sky",
        ),
        (CONTROL + "0)sersic", "in:4: '0)sersic' has no blank space after '0)', expected some between key and value"),
        (
            CONTROL + SERSIC + "3)20 1",
            "in:11: '3)20' has no blank space after '3)', expected some between key and value",
        ),
        (CONTROL + SERSIC + "3) big 1", "in:11: 'big' after '3)', expected a number"),
        (
            CONTROL + SERSIC + "3)\u00a020 1",
            r"in:11: '3)\xa020' has no blank space after '3)', expected some between "
            "key and value",
        ),
        (
            (CONTROL + SERSIC).replace("\n", "\r"),
            "in: all of it is one line for GALFIT: its lines end in CR alone, expected LF or CR LF",
        ),
        (
            "B) !o.fits\nH) 1 2 3 4\n" + SERSIC,
            "in:1: '!o.fits' begins with '!', expected the name alone; an existing file is overwritten",
        ),
        (CONTROL + SERSIC + "3) \u221220 1", "in:11: '\u221220' after '3)', expected a number"),
        (CONTROL + SERSIC + "3) 4249d-3 1", "in:11: '4249d-3' after '3)', expected a number"),
        (CONTROL + SERSIC + "1) 5, 6", "in:11: '5,' after '1)', expected a number"),
        (CONTROL + SERSIC + "1) 5 6, 1 1", "in:11: '6,' after '5', expected a number"),
        (CONTROL + SERSIC + "F0) .1 3", "in:11: 'F0)', expected a mode number of 1 to 28000"),
        (CONTROL + SERSIC + "B28001) .1", "in:11: 'B28001)', expected a mode number of 1 to 28000"),
        (CONTROL + SERSIC + f"\n# {2000 * '-'}", "in:12: a line of 2002 characters, expected at most 2000"),
        (
            CONTROL + SERSIC + "3) 20 1" + 20 * "0",
            f"in:11: '1{20 * '0'}' is too large, expected a whole number below 1000000000",
        ),
        (
            CONTROL + SERSIC + "I) 20 2000000000",
            "in:11: '2000000000' is too large, expected a whole number below 1000000000",
        ),
        (
            CONTROL + SERSIC + "T2) 1 1",
            "in:11: 'T2)' would be a command of GALFIT's interactive menu (N, T and X are), expected a key",
        ),
        (
            CONTROL + SERSIC + "none",
            "in:11: 'none' would be a command of GALFIT's interactive menu (N, T and X are), expected a key",
        ),
        (CONTROL + SERSIC + "T0) Radial", "in:11: 'Radial' after 'T0)', expected radial, length or height"),
        (CONTROL + SERSIC + "Ti) none", "in:11: 'none' after 'Ti)', expected a whole number"),
        (
            CONTROL + SERSIC + "To) 2\n0) sky",
            "in:11: 'To)' names component 2, expected the number of a truncation, T0)",
        ),
        (CONTROL + SERSIC + "Ti) 7", "in:11: 'Ti)' names component 7, expected the number of a truncation, T0)"),
        (CONTROL + TRUNCATION + "Ti) 1", "in:7: 'Ti)' in a truncation, expected it in the component that is truncated"),
        (
            CONTROL + "0) sersic3",
            "in:4: 'sersic3' has no break radius, expected Ti) or To) with the number of a truncation",
        ),
    ],
)
def test_refuses(text, message):
    with pytest.raises(FeedmeError) as error:
        feedme.parse(text, "in")
    assert str(error.value) == message


def test_says_on_stdout_what_galfit_says_of_a_wrong_link():
    with pytest.raises(FeedmeError) as error:
        feedme.parse(CONTROL + SERSIC + "To) 7")
    assert error.value.stdout.startswith("\n-- ERROR: Component #1 is being truncated but it is not pointing \n")


@pytest.mark.parametrize("line", ["A1) u,g,r", "J) 25,26,27", "3) 17,16,15 1 cheb"])
def test_refuses_menus_for_several_bands(line):
    with pytest.raises(UnsupportedError, match="several bands"):
        feedme.parse(CONTROL + SERSIC + line)


def test_a_menu_that_cannot_be_opened(tmp_path):
    with pytest.raises(FeedmeError, match="x.feedme: No such file or directory, expected an input file"):
        feedme.load(tmp_path / "x.feedme", "x.feedme")
    with pytest.raises(FeedmeError, match="x: Is a directory"):
        feedme.load(tmp_path, "x")


def test_bytes_that_are_no_text_stay_in_names(tmp_path):
    path = tmp_path / "latin.feedme"
    path.write_bytes(b"\xef\xbb\xbfA) \xe9toile.fits # \xe9\r\n" + (CONTROL[8:] + SERSIC).encode())
    assert feedme.load(path, "in").control.data.encode("utf-8", "surrogateescape") == b"\xe9toile.fits"


# Restart files


def test_restart_file():
    text = f"{CONTROL}0) devauc\n1) 3 4 2 1\n3) 5 3\n4) 6 2\n5) 2 1\n6) 1 1\n9) .5 -1\n0) psf\n9) .5 1\n0) edgedisk\n"
    job = feedme.parse(text, "in.feedme")
    tied = Parameter(7.0, 1, tied=True)
    job = replace(job, components=(job.components[0].updated({"4": tied}), *job.components[1:]))
    lines = feedme.dump(job, chi2=43167122.5, ndof=2600, name="other").splitlines()
    assert lines[:5] == [
        "",
        "#  Input menu file: other",
        "",
        "#  Chi^2/nu = 16602.740,  Chi^2 = 43167124.000,  Ndof = 2600",
        "",
    ]
    values = [line.split("#")[0].rstrip() for line in lines]
    assert {" 1) 3.0000   4.0000   1 1", " 3) 5.0000      1", " 4) 7.0000      2", " 5) 4.0000      0"} <= set(values)
    assert {" 6) 1.0000      0", " 9) 0.5000      -1", "10) 0.0000      -1", " 9) 1.0000      -1"} <= set(values)
    assert lines[-1] == ""


def test_a_restart_file_holds_the_radii_of_a_truncation_in_order():
    job = feedme.parse(f"{CONTROL}{SERSIC}To) 2\nT0) radial2\nT4) 12 1\nT5) 12.09 0\n")
    fitted = replace(job, components=(job.components[0], job.components[1].updated({"4": Parameter(12.1755, 1)})))
    lines = [line[:20].rstrip() for line in feedme.dump(fitted, chi2=1.0, ndof=1).splitlines()]
    assert {"T4) 12.0900     0", "T5) 12.1755     1"} <= set(lines)


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("D) psf.fits # c", "D) psf.fits   "),
        ("D) # c", "D) #          c"),
        ("D) psf.fits kernel.txt", "D) psf.fits   kernel.txt"),
    ],
)
def test_a_restart_file_leaves_out_a_comment_behind_the_psf(line, printed):
    text = feedme.dump(feedme.parse(f"{CONTROL}{line}\n{SERSIC}"), chi2=1.0, ndof=1)
    (found,) = (line for line in text.splitlines() if line.startswith("D)"))
    assert found.split(" # Input")[0].rstrip() == printed.rstrip()


def test_single_precision():
    assert menu.single(16777217.0) == 16777216.0
    assert menu.single(-1e40) == float("-inf")


# Properties

numbers = st.integers(-9_999_999, 9_999_999).map(lambda k: k / 10_000)  # printed in full
toggles = st.sampled_from([0, 1, 2])
parameters = st.builds(Parameter, numbers, toggles)
amplitudes = st.builds(Parameter, numbers.filter(bool), st.sampled_from([0, 1]))
thousandths = st.builds(Parameter, st.integers(1000, 9999).map(lambda k: k / 1000), st.sampled_from([0, 1]))
skies = st.builds(Parameter, st.one_of(numbers.filter(lambda v: abs(v) >= 0.1), st.just(0.0)), st.sampled_from([0, 1]))
words = st.text("abcxyz0189._-/[]", min_size=1, max_size=30)


@st.composite
def components(draw: st.DrawFn, number: int, truncations: tuple[int, ...]) -> Component:
    """A component with all that it may have."""
    kind = draw(st.sampled_from(["sersic2", "expdisk", "moffat", "nuker", "psf", "king1", "sky"]))
    rotation = st.builds(
        lambda function, slots: Rotation(function, (*slots[:4], *[Parameter(0.0)] * 4, *slots[4:])),
        st.sampled_from(["power", "log"]),
        st.lists(amplitudes, min_size=6, max_size=6),
    )
    links = st.lists(st.sampled_from(truncations), max_size=2).map(tuple) if kind != "sky" else st.just(())
    modes = draw(st.lists(st.integers(1, 30), unique=True, max_size=3).map(sorted))
    return Component(
        number,
        kind,
        tuple(
            draw(
                st.lists(skies, min_size=3, max_size=3)
                if kind == "sky"
                else st.lists(parameters, min_size=10, max_size=10)
            )
        ),
        c0=draw(st.none() | amplitudes),
        bending=tuple(BendingMode(n, draw(thousandths)) for n in modes),
        fourier=tuple(FourierMode(n, draw(amplitudes), draw(amplitudes)) for n in modes),
        rotation=draw(st.none() | rotation),
        inner=draw(links),
        outer=draw(links),
        skip=draw(st.sampled_from([0, 1])),
        hidden=tuple(draw(st.permutations("bcfr"))),
    ).renamed()


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    count = draw(st.integers(1, 3))
    pixels = st.integers(-99, 99999)
    control = Control(
        *(draw(words) for _ in range(5)),
        draw(st.integers(1, 9)),
        draw(words),
        draw(words),
        region=draw(st.tuples(pixels, pixels, pixels, pixels)),
        conv_box=draw(st.tuples(pixels, pixels)),
        zeropoint=draw(st.integers(0, 99_999)) / 1000,
        plate_scale=(draw(st.integers(1, 9999)) / 1000, 0.5),
        display="regular",
        mode=draw(st.integers(0, 3)),
    )
    lights = [draw(components(n, (count + 1, count + 2))) for n in range(1, count + 1)]
    shape = (
        *[Parameter(1.5, 1)] * 2,
        None,
        Parameter(4.0),
        Parameter(8.0, 1),
        None,
        None,
        None,
        Parameter(0.5),
        Parameter(9.0),
    )
    bare = (None, None, None, Parameter(4.0), Parameter(2.0), None, None, None, None, None)
    return Job(control, (*lights, Component(count + 1, "radial2-b", shape), Component(count + 2, "length", bare)))


@settings(max_examples=100, deadline=None)
@given(jobs())
def test_what_is_printed_reads_back_as_the_same_job(job):
    text = feedme.dump(job)
    read = feedme.parse(text)
    assert read == job
    assert feedme.dump(read) == text
    assert all("axis ratio" in warning.message or "no effect" in warning.message for warning in read.warnings)


fragments = st.sampled_from(
    "A) B) C) D) E) F) G) H) I) J) K) O) P) 0) 1) 2) 3) 4) 5) 9) 10) Z) C0) B1) F1) F0) R0) R1) R10) T0) T1) T4) "
    "T9) Ti) To) N) X) S) 3)5 3 ) none sersic sky radial2 power 1 2 0 -1 1e3 0x1f nan 1,2 2.5 # = \n \n \n \t \r".split(
        " "
    )
)


@settings(max_examples=200, deadline=None)
@given(st.lists(fragments, max_size=40).map(" ".join), st.booleans())
def test_any_text_is_read_or_refused_in_one_line(text, whole):
    try:
        job = feedme.parse(CONTROL + SERSIC + text if whole else text, "in")
    except GalfeedError as error:
        assert str(error).startswith("in")
        assert "\n" not in str(error)
    else:
        again = feedme.parse(feedme.dump(job), "in")
        assert feedme.dump(feedme.parse(feedme.dump(again))) == feedme.dump(again).replace("file: in", "file: ")


# Menus of real users, where they are at hand


def corpus(kind: str) -> list[pytest.param]:
    if not CORPUS.is_dir():
        return []
    with (CORPUS / "index.csv").open(newline="") as index:
        return [
            pytest.param(CORPUS / row["file"], row["galfit_3.0.5"], id=row["file"])
            for row in csv.DictReader(index)
            if row["kind"] == kind
        ]


@pytest.mark.parametrize(("path", "outcome"), [*corpus("feedme"), *corpus("restart")])
def test_reads_what_galfit_reads(path, outcome):
    text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    whole = re.search(r"^\s*H\)", text, re.M) and not re.search(r"(\s\$|var_)[a-z]", text)
    if not whole or "(0 comp)" in outcome or not outcome.startswith(("ok", "echoes")):
        with pytest.raises(FeedmeError):
            feedme.parse(text)
    else:
        job = feedme.parse(text)
        assert f"({len(job.components)} comp)" in outcome
        again = feedme.parse(feedme.dump(job))
        assert feedme.parse(feedme.dump(again)) == again


@pytest.mark.parametrize(("path", "outcome"), corpus("galfitm"))
def test_refuses_what_is_for_several_bands(path, outcome):
    try:
        feedme.load(path, "in")
    except FeedmeError:
        return
    assert not re.search(r"^\s*(A\d|.*\d,\d.*\b(cheb|band)\b)", path.read_text(errors="replace"), re.M)


@pytest.mark.parametrize(
    ("name", "line", "what"),
    [
        ("sersic", "4) 3 1", "this sersic has no line 4), so re is 0"),
        ("sersic", "5) 2 1", "this sersic has no line 5), so n is 0"),
        ("expdisk", "3) 15 1", "this expdisk has no line 3), so mag is 0"),
        ("nuker", "4) 3 1", "this nuker has no line 4), so rb is 0"),
    ],
)
def test_warns_of_a_line_left_out(name, line, what):
    block = SERSIC.replace("sersic", name) + "6) 1 0\n7) 1 0\n"
    assert not feedme.parse(CONTROL + block, "in").warnings
    (warning,) = feedme.parse(CONTROL + block.replace(f"{line}\n", ""), "in").warnings
    assert str(warning) == f"in:4: {what}"


def test_remarks_know_their_column():
    (warning,) = feedme.parse(CONTROL + SERSIC + "  8)  0.5 1\n 9) 30 1", "in").warnings
    assert warning.place == (11, 7)
    with pytest.raises(FeedmeError) as error:
        feedme.parse(CONTROL + SERSIC + "  8)  five 1\n", "in")
    assert error.value.remark.place == (11, 7)


def test_warns_of_a_truncation_that_cuts_nothing():
    (warning,) = feedme.parse(CONTROL + SERSIC + "T0) radial\nT4) 9 1\nT5) 5 0", "in").warnings
    assert str(warning).endswith("no component has Ti) or To) 2, so this truncation has no effect")
    assert str(warning).startswith("in:")
    assert not feedme.parse(CONTROL + SERSIC + "To) 2\nT0) radial\nT4) 9 1\nT5) 5 0", "in").warnings


def test_numbers_too_large_are_infinite():
    assert new("3) 0x" + 300 * "f") == [" 3) inf         1"]
    assert new("3) -0x" + 300 * "f") == new("3) -1e400") == [" 3) -inf        1"]


def test_long_menus_take_no_longer_by_the_line():
    start = time.perf_counter()
    with pytest.raises(FeedmeError, match="expected a number"):
        feedme.parse(20000 * "\n" + CONTROL + SERSIC + "3) x 1\n" + 20000 * "\n", "in")
    assert time.perf_counter() - start < 5
