"""What the programs that call GALFIT rely on: how it is called, what it takes, where each number stands in its outputs.

Inputs are the bundled cases and menus written as those programs write them.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from contract_readers import (
    FAILURE,
    READERS,
    SUCCESS,
    header,
    log,
    pymorph,
    sparcfire_header,
    sparcfire_stdout,
    succeeded,
)

from galfeed.cli import main

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "compat_fixtures"
MENU = "galfit.feedme"
CASES = ("example", "tied", "point_source", "lopsided", "spiral")
LAST_PLACE = 0.0101  # fit.log and stdout have two decimals: one in the last
ONLY = {  # readers of one layout
    "mucho_galfit": {"example", "lopsided"},
    "jwst_galfit": {"example"},
    "hujh08": {"example", "tied", "point_source"},
}
FITTED = {"imgblock.fits", "galfit.01", "fit.log"}


@dataclass(frozen=True)
class Run:
    """One run: its folder, files new in it, exit code and what it said (stdout is also the file ``stdout.txt``)."""

    folder: Path
    written: set[str]
    code: int
    stdout: str
    stderr: str


def run(folder: Path, *arguments: str) -> Run:
    """galfeed in a folder, which its caller has filled."""
    before = {path.name for path in folder.iterdir()}
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    written = {path.name for path in folder.iterdir()} - before
    (folder / "stdout.txt").write_text(out.getvalue())
    return Run(folder, written, code, out.getvalue(), err.getvalue())


def copied(case: str, folder: Path, edit: Callable[[str], str] = str, **others: str) -> Path:
    """A case in a folder, its menu edited, and other text files by name (dots of names are written ``_``)."""
    shutil.copytree(FIXTURES / case, folder, ignore=shutil.ignore_patterns("expected", "case.toml"), dirs_exist_ok=True)
    (folder / MENU).write_text(edit((folder / MENU).read_text()))
    for name, text in others.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def changed(*pairs: tuple[str, str]) -> Callable[[str], str]:
    """An edit that replaces texts, each of which must be there."""

    def edit(text: str) -> str:
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return text

    return edit


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Callable[[str], Run]:
    """Runs of the bundled cases, each made when first asked for."""
    made: dict[str, Run] = {}

    def get(case: str) -> Run:
        if case not in made:
            made[case] = run(copied(case, tmp_path_factory.mktemp("contract")), MENU)
        return made[case]

    return get


def flat(found: object) -> Iterator[object]:
    """Keys and values of nested lists and dictionaries, in order."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield key
            yield from flat(value)
    elif isinstance(found, list | tuple):
        yield len(found)
        for value in found:
            yield from flat(value)
    else:
        yield found


def alike(found: object, expected: object) -> bool:
    if isinstance(expected, float):
        assert isinstance(found, float)
        return abs(found - expected) <= LAST_PLACE + 1e-6 * abs(expected)
    return found == expected


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_finds_in_galfeeds_files_what_it_finds_in_galfits(fitted, reader, case):
    if case not in ONLY.get(reader, CASES):
        with pytest.raises((ValueError, KeyError)):
            READERS[reader](FIXTURES / case / "expected")
        return
    ours, theirs = (list(flat(READERS[reader](f))) for f in (fitted(case).folder, FIXTURES / case / "expected"))
    assert len(ours) == len(theirs)
    assert [pair for pair in zip(ours, theirs, strict=True) if not alike(*pair)] == []


# how it is called


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """An executable of the name that pipelines call, as an installer writes it."""
    path = tmp_path_factory.mktemp("bin") / "galfit"
    path.write_text(f"#!{sys.executable}\nfrom galfeed.cli import command\n\ncommand()\n")
    path.chmod(0o755)
    return path


def call(folder: Path, command: str, path: Path) -> subprocess.CompletedProcess[str]:
    """A command line of /bin/sh, with PROGRAM's folder first on PATH, no terminal and no TERM."""
    environment = {key: value for key, value in os.environ.items() if key != "TERM"}
    environment |= {"PATH": f"{path.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "command",
    [
        "galfit  galfit.feedme",
        "nice galfit galfit.feedme <&-",
        "timeout 100 galfit galfit.feedme </dev/null 2>&-",
        "bash -c 'galfit galfit.feedme -imax 5'",
        "cp $(command -v galfit) ./galfit305 && ./galfit305 galfit.feedme",
        "perl -e 'alarm 100; exec @ARGV' 'galfit galfit.feedme' 2>&1",
    ],
)
def test_the_program_runs_however_it_is_started(tmp_path, program, command):
    done = call(copied("point_source", tmp_path), command, program)
    assert done.returncode == 0
    assert FITTED <= {path.name for path in tmp_path.iterdir()}
    assert succeeded(done.stdout)


def test_two_runs_in_one_folder_take_two_numbers(tmp_path, program):
    copied("example", tmp_path)
    second = changed(("imgblock.fits", "second.fits"))((tmp_path / MENU).read_text())
    (tmp_path / "second.feedme").write_text(second)
    assert call(tmp_path, "galfit galfit.feedme & galfit second.feedme & wait", program).returncode == 0
    entries = log(tmp_path).split("Input image")[1:]
    told = {entry.split("Output image    : ")[1].split()[0]: re.findall(r"galfit\.\d\d", entry) for entry in entries}
    assert sorted(told.values()) == [["galfit.01"], ["galfit.02"]]
    for block, (restart,) in told.items():
        assert fits.getheader(tmp_path / block, 2)["LOGFILE"] == restart


@pytest.mark.parametrize(
    "words",
    ["galfit.feedme -o2", "-o2  galfit.feedme", "-imax 7 galfit.feedme -o2 -noskyest", "galfit.feedme -skyrms 3 -o2"],
)
def test_options_stand_before_or_after_the_file(tmp_path, words):
    result = run(copied("example", tmp_path), *words.split())
    assert (result.code, result.written) == (0, {"imgblock.fits"})
    assert header(tmp_path)["1_XC"] == "30.9100 +/- 0.0000"


def test_help_is_a_success(tmp_path):
    result = run(tmp_path, "-help")
    assert (result.code, result.written) == (0, set())
    assert all(option in result.stdout for option in "-o1 -o2 -o3 -outsig -imax -noskyest -skyped -skyrms".split())


def test_names_are_relative_to_where_it_is_called_not_to_the_menu(tmp_path):
    copied("example", tmp_path)
    (tmp_path / "menus").mkdir()
    (tmp_path / MENU).rename(tmp_path / "menus" / MENU)
    result = run(tmp_path, f"menus/{MENU}", "-imax", "1")
    assert (result.code, result.written) == (0, FITTED)
    assert f"Init. par. file : menus/{MENU} \n" in log(tmp_path)
    assert {path.name for path in (tmp_path / "menus").iterdir()} == {MENU}


@pytest.mark.parametrize("taken", [{3}, {1, 3}, {1, 2, 4}])
def test_the_lowest_free_number_is_taken_and_told(tmp_path, taken):
    copied("example", tmp_path, **{f"galfit_0{number}": "" for number in taken})
    free = min({1, 2, 3} - taken)
    assert run(tmp_path, MENU, "-imax", "1").written == FITTED - {"galfit.01"} | {f"galfit.0{free}"}
    assert f"Restart file    : galfit.0{free} \n" in log(tmp_path)
    assert header(tmp_path)["LOGFILE"] == f"galfit.0{free}"


# what it takes


def drafted(folder: Path, menu: str) -> dict[str, object]:
    """Component cards of the block that -o2 makes of a menu."""
    (folder / MENU).write_text(menu)
    result = run(folder, "-o2", MENU)
    assert result.code == 0, result.stderr
    own = header(folder)
    return {key: own[key] for key in own if re.match(r"\d+_|COMP_|FITSECT|CONVBOX|MAGZPT", key)}


def lines(menu: str, edit: Callable[[str], str]) -> str:
    return "".join(edit(line) + "\n" for line in menu.splitlines())


DIALECTS: dict[str, Callable[[str], str]] = {
    "blanks": lambda menu: lines(menu, lambda line: f"        {line}   "),
    "tabs": lambda menu: lines(menu, lambda line: line.replace(" ", "\t")),
    "comments": lambda menu: lines(menu, lambda line: f"{line} # [of], (many) * words: 1) 2)" if line else "# (1, 2)"),
    "trailing words": lambda menu: menu.replace("Z) 0", "Z) 0 output image (see above)"),
    "extra number": lambda menu: menu.replace("Z) 0", "Z) 0 1"),
    "rulers": lambda menu: f"{'=' * 80}\n{menu}\n{'=' * 80}\n",
    "no end of line": lambda menu: menu.rstrip("\n"),
    "no Z": lambda menu: menu.replace(" Z) 0\n", ""),
    "obsolete": lambda menu: menu.replace("P) 0\n", "P) 0\nS) 0  # interactive?\nW) input,sigma,psf\n"),
    "short": lambda menu: re.sub(r"[KEGO]\).*\n", "", menu),
    "placeholders": lambda menu: menu.replace(" 9) 0.552", " 6) 0 0\n 7) 0 0\n 8) 0 0\n 9) 0.552"),
    "backwards": lambda menu: re.sub(r"(?<=sersic\n)((?: ?\d+\).*\n)+)", _reversed, menu),
}


def _reversed(match: re.Match[str]) -> str:
    return "".join(reversed(match[0].splitlines(keepends=True)))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_menu_means_the_same_in_every_dialect(tmp_path, dialect):
    menu = (copied("example", tmp_path) / MENU).read_text()
    assert DIALECTS[dialect](menu) != menu
    assert drafted(tmp_path, DIALECTS[dialect](menu)) == drafted(tmp_path, menu)


@pytest.mark.parametrize("name", ["none", "None", "", "nosuch.fits"])
@pytest.mark.parametrize(("key", "flag"), [("C", "A-3"), ("D", "A-2"), ("F", "A-4"), ("G", "A-6")])
def test_an_image_that_is_not_there_is_a_flag(tmp_path, key, flag, name):
    copied("example", tmp_path, lambda menu: re.sub(rf"{key}\).*", f"{key}) {name}", menu))
    assert run(tmp_path, MENU, "-o2").code == 0
    assert flag in header(tmp_path)["FLAGS"].split(" ")


def test_without_a_data_image_a_model_is_made(tmp_path):
    copied("example", tmp_path, changed(("image.fits", "nosuch.fits")))
    result = run(tmp_path, MENU)
    assert (result.code, result.written) == (0, {"imgblock.fits"})
    with fits.open(tmp_path / "imgblock.fits") as (model,):
        assert model.data.shape == (68, 72)
        assert "A-1" in model.header["FLAGS"].split(" ")


def test_missing_toggles_hold_parameters_and_free_fourier_modes(tmp_path):
    """SpArcFiRe's spirals; the second Z) ends the modes."""
    bare = changed((" 1) 39.04 36.11 1 1", " 1) 39.04 36.11"), (" 3) 18.386 1", " 3) 18.386"), ("log", "power"))
    spiral = changed(("R4) 5 1", "R4) 0.8 1"), (" Z) 0\n\n", "Z) 0\nF1) 0.1 20\nF3) 0.05 30\nZ) 0\n\n"))
    copied("spiral", tmp_path, lambda menu: spiral(bare(menu)))
    result = run(tmp_path, MENU, "-imax", "2")
    assert result.code == 0
    own = header(tmp_path)
    assert [own[f"1_{key}"] for key in ("XC", "YC", "MAG")] == ["[39.0400]", "[36.1100]", "[18.3860]"]
    assert all("+/-" in own[f"1_{key}"] for key in ("F1", "F1PA", "F3", "F3PA", "ROUT", "ALPHA"))
    keys = [pair[0] for pair in sparcfire_header(tmp_path)[3][1:]]
    shape = ["XC", "YC", "MAG", "RE", "N", "AR", "PA", "ROTF", "RIN", "ROUT", "RANG", "ALPHA", "INCL", "SPA"]
    assert keys == [f"1_{key}" for key in [*shape, "F1", "F1PA", "F3", "F3PA"]]
    (sersic, power, fourier, sky) = sparcfire_stdout(tmp_path)
    assert [sersic[0], len(sersic), power[0], len(power), len(sky)] == ["sersic", 8, "power", 7, 6]
    assert [mode[0] for mode in fourier[1:]] == [1, 3]
    assert re.search(r"^ sersic    : \(  \[39\.04\],  \[36\.11\]\) \[18\.39\] ", result.stdout, re.MULTILINE)
    assert re.search(r"^   power   : .* --- ", result.stdout, re.MULTILINE)
    assert (tmp_path / "galfit.01").read_text().count(" Z) 0 ") == 2


def test_a_region_from_zero_is_clipped_and_flagged(tmp_path):
    frb = changed(
        ("A) image", f"{'=' * 60}\n        A) image"), ("C) none", "C) None"), ("H) 1 72 1 68", "H) 0 71 0 99")
    )
    result = run(copied("example", tmp_path, frb), MENU, "-o2")
    assert result.code == 0
    assert header(tmp_path)["FITSECT"] == "[1:71,1:68]"
    assert "I-2" in header(tmp_path)["FLAGS"].split(" ")


def test_the_numbers_of_version_2_are_not_recognised_but_warned_of(tmp_path):
    old = changed((" 9) 0.552 1\n10) 80.658 1\n", " 8) 0.552 1\n 9) 80.658 1\n10) 0.0 1\n"))
    result = run(copied("example", tmp_path, old), MENU, "-o2")
    assert result.code == 0
    assert "GALFIT 2" in result.stderr
    found = [header(tmp_path)[f"1_{key}"].split()[0] for key in ("RE", "N", "AR", "PA")]
    assert found == ["366.9132", "1.4350", "*0.0124*", "-89.9999"]  # as GALFIT: q = 80.658, turned round


PYMORPH_CONSTRAINTS = (  # two run together, the second pair reversed, without an end of line
    "1  n  0.2 to 20.0 \n1  x  25.299999999999997 to 35.3 \n1  re  0.2 to 55.44 \n1  q  0.0 to 1.0 \n"
    "1  pa  -360.0 to 360.0 \n4 mag 100. to -100 \n4 n 0.2 to 20. \n3 x -2.0 -2.02 y -2.0 -2.0"
)


@pytest.fixture(scope="module")
def pymorphs(tmp_path_factory) -> Run:
    """A run as pymorph makes it: sky in the middle, a psf without a toggle, its constraints, bad cards."""
    parts = (
        " 0) psf # Object type\n 1) 55.31 51.71 1 1 # position x, y [pixel]\n 3) 22.05 # total magnitude\n"
        " Z) 0 output image (see above)\n",
        " 0) sersic\n 1) 14.0 16.0 1 1 # position x, y [pixel]\n 3) 23.5 1\n 4) 2.5 1\n 5) 4.0 1\n 9) 0.74 1\n"
        " 10) -102.61 1\n Z) 0 # output image (see above)\n",
    )

    def edit(menu: str) -> str:
        control, sersic, sky = menu.split("\n\n")
        control = changed(("G) none", "G) t.con"), ("K) 0.05 0.05\n", ""), ("P) 0", "P) 0 # (1=yes)\nS) 0"))(control)
        return "\n\n\n".join(("# IMAGE PARAMETERS\n" + control, sersic, parts[0], sky, parts[1]))

    folder = copied("example", tmp_path_factory.mktemp("pymorph"), edit, t_con=PYMORPH_CONSTRAINTS)
    spoil_header(folder / "image.fits")
    return run(folder, MENU, "-imax", "4")


BAD_CARDS = (
    b"STRIP   ='N          '         / Strip being tracked",
    b"DAVERS  ='v12_6   '",
    b"CD1_1   = 4.7e-06 / by x",
)


def spoil_header(path: Path) -> None:
    """Put cards that break the standard before END."""
    raw = bytearray(path.read_bytes())
    at = next(i for i in range(0, len(raw), 80) if raw[i : i + 8] == b"END     ")
    room = 2880 - at % 2880 - 80
    assert room >= 80 * len(BAD_CARDS)
    for card in (*BAD_CARDS, b"END"):
        raw[at : at + 80] = card.ljust(80)
        at += 80
    path.write_bytes(raw)


def test_pymorphs_menus_and_constraints_are_taken(pymorphs):
    assert (pymorphs.code, pymorphs.written) == (0, FITTED)
    found = pymorph(pymorphs.folder)
    assert (found["menu"], found["restart"]) == (MENU, "galfit.01")
    assert {"bulge", "point", "sky", "neighbour1", "ndof", "chi2nu"} <= found.keys()
    assert found["point"]["mag"] == (22.05, 0.0)
    assert header(pymorphs.folder)["2_MAG"] == "[22.0500]"
    assert header(pymorphs.folder)["COMP_3"] == "sky"


def test_bad_cards_of_the_image_are_carried_along(pymorphs):
    raw = (pymorphs.folder / "imgblock.fits").read_bytes()
    assert all(card.ljust(80) in raw for card in BAD_CARDS)


@pytest.mark.parametrize(
    "text", ["7_1 x offset\n", "7/1 mag 1 3", "7-1 mag 1 3", "# first\n\n1 n 0.5 to 8\n1_7 y offset"]
)
def test_a_coupling_to_a_component_that_is_not_there_ends_the_run(tmp_path, text):
    result = run(copied("example", tmp_path, changed(("G) none", "G) t.con")), t_con=text), MENU)
    assert (result.code != 0, result.written) == (True, set())
    assert "-- QUIT REASON: trying to constrain a component which doesn't exist." in result.stdout
    assert "Iteration" not in result.stdout


@pytest.mark.parametrize(
    "text",
    ["7 n 0.5 to 2\n", "1   5\t0.5 to 8 # by number\n\n1 9 -0.43 0.5", "1 n 8 to 0.5", "2 2 0 to 1", "nonsense here\n"],
)
def test_nothing_else_in_a_constraint_file_ends_the_run(tmp_path, text):
    copied("example", tmp_path, changed(("G) none", "G) t.con")), t_con=text)
    result = run(tmp_path, MENU, "-imax", "1")
    assert (result.code, result.written) == (0, FITTED)


# where things stand in the outputs


@pytest.mark.parametrize("case", CASES)
def test_a_fit_writes_three_files(fitted, case):
    assert (fitted(case).code, fitted(case).written) == (0, FITTED)


@pytest.mark.parametrize("case", CASES)
def test_the_block_holds_nothing_data_model_residual(fitted, case):
    folder = fitted(case).folder
    with fits.open(folder / "imgblock.fits") as hdus:
        nothing, data, model, residual = hdus
        assert [hdu.data.dtype.str for hdu in hdus] == [">f4"] * 4
        assert len({hdu.data.shape for hdu in hdus}) == 1
        assert not nothing.data.any()
        assert np.array_equal(residual.data, data.data - model.data)
        assert [hdu.header["OBJECT"] for hdu in (model, residual)] == ["model", "residual map"]
        assert data.header["OBJECT"].endswith(model.header["FITSECT"])
        x1, x2, y1, y2 = map(int, re.findall(r"\d+", model.header["FITSECT"]))
        assert np.array_equal(data.data, fits.getdata(folder / "image.fits")[y1 - 1 : y2, x1 - 1 : x2])
        kept = [card.keyword for card in fits.getheader(folder / "image.fits").cards[6:]]
        assert [key for key in kept if key not in data.header] == []


INPUTS = "INITFILE DATAIN SIGMA PSF CONSTRNT MASK FITSECT CONVBOX MAGZPT COMMENT".split()
ENDING = "FLAGS COMMENT CHISQ NDOF NFREE NFIX CHI2NU LOGFILE COMMENT COMMENT".split()
SLOT = re.compile(
    r"(\*?-?\d+\.\d{4}\*? \+/- \*?(\d+\.\d{4}|nan)\*?|\[-?\d+\.\d{4}\]|\{-?\d+\.\d{4}\}|\[-?\d\.\d{3}e[+-]\d\d\]"
    r"|-?\d\.\d{3}e[+-]\d\d \+/- \d\.\d{3}e[+-]\d\d)"
)


@pytest.mark.parametrize("case", CASES)
def test_the_header_has_its_keys_in_order_and_no_bare_number(fitted, case):
    own = header(fitted(case).folder)
    keys = list(own)
    start, first, flags = keys.index("INITFILE"), keys.index("COMP_1"), keys.index("FLAGS")
    assert keys[start - 1] == "COMMENT" and "GALFIT Input Parameters" in own["COMMENT"][0]
    assert keys[start:first] == INPUTS
    assert keys[flags:] == ENDING
    numbers = [key for key in keys if re.match(r"\d+_", key)]
    assert [key for key in numbers if not key.endswith("ROTF") and not SLOT.fullmatch(own[key])] == []
    assert {key.split("_")[0] for key in numbers} == {key[5:] for key in keys if key.startswith("COMP_")}
    assert [type(own[key]) for key in "CHISQ NDOF NFREE NFIX CHI2NU MAGZPT".split()] == [
        float,
        int,
        int,
        int,
        float,
        float,
    ]
    assert not own["FLAGS"].startswith(" ") and "  " not in own["FLAGS"]


def test_long_names_are_cut_at_68_characters_and_found_all_the_same(tmp_path):
    long = tmp_path / ("a-folder-with-a-rather-long-name" * 3)
    copied("example", long)
    copied("example", tmp_path, changed(("A) image", f"A) {long}/image"), ("B) img", f"B) {long}/img")))
    assert run(tmp_path, MENU, "-o2").code == 0
    assert header(long)["DATAIN"] == f"{long}/image.fits"[:68]


HEAD = """\
-{77}

Input image     : image\\.fits\\[\\d+:\\d+,\\d+:\\d+\\]\x20
Init\\. par\\. file : galfit\\.feedme\x20
Restart file    : galfit\\.01\x20
Output image    : imgblock\\.fits\x20

"""
TAIL = """\
 Chi\\^2 = \\d+\\.\\d{5},  ndof = \\d+
 Chi\\^2/nu = \\d+\\.\\d{3}\x20

-{77}
"""


@pytest.mark.parametrize("case", CASES)
def test_a_log_entry_has_its_lines_where_programs_count_them(fitted, case):
    text = log(fitted(case).folder)
    assert re.fullmatch(f"{HEAD}(?: .*\\n)+{TAIL}", text)
    body = text.splitlines()[7:-4]
    values, errors = body[::2], body[1::2]
    assert all(re.match(r" [ a-z]{10}: ", line) for line in values)
    assert all(line.startswith(" " * 11) for line in errors)
    assert re.match(r" sersic    : \( [ \d.]+, [ \d.]+\) ", values[0])
    assert re.match(r" sky       : \[[ \d.]+, [ \d.]+\] ", values[-1])


@pytest.mark.parametrize("case", CASES)
def test_stdout_counts_down_and_says_that_it_saves(fitted, case):
    text = fitted(case).stdout
    assert succeeded(text)
    assert "Doh!" not in text and "QUIT" not in text
    assert text.index("# Component number: 1") < text.index("Initial parameters:") < text.index("Iteration")
    steps = text.split("Iteration")[1:]
    names = [line.split()[0] for line in log(fitted(case).folder).splitlines()[7:-4:2]]
    for step in steps:
        assert re.findall(r"^ +([a-z]+) +: ", step, re.MULTILINE) == names
        assert re.search(r"^COUNTDOWN = \d+ ?$", step, re.MULTILINE)
    assert re.search(r"^COUNTDOWN = 0 ?$", steps[-1], re.MULTILINE)


@pytest.mark.parametrize("case", CASES)
def test_the_restart_file_starts_with_its_menu_and_comments_every_line(fitted, case):
    text = (fitted(case).folder / "galfit.01").read_text()
    start = r"\n#  Input menu file: galfit\.feedme\n\n#  Chi\^2/nu = \d+\.\d+,  Chi\^2 = \d+\.\d+,  Ndof = \d+\n\n=+\n"
    assert re.match(start + "# IMAGE and GALFIT CONTROL PARAMETERS\n", text)
    titles = re.findall(r"^# Component number: (\d+)$", text, re.MULTILINE)
    assert titles == [str(i + 1) for i in range(len(titles))]
    assert all("#" in line for line in text.splitlines() if re.match(r" ?\w+\) ", line))


@pytest.fixture(scope="module")
def starred(tmp_path_factory) -> Run:
    """A radius at a limit that GALFIT calls suspicious."""
    folder = tmp_path_factory.mktemp("starred")
    copied("example", folder, changed(("G) none", "G) t.con"), ("5) 1.435 1", "5) 1.435 0")), t_con="1 re 0.3 to 0.4\n")
    return run(folder, MENU, "-imax", "6")


def test_suspicious_values_stand_between_asterisks_everywhere(starred):
    assert re.fullmatch(r"\*0\.4000\* \+/- \*\d+\.\d{4}\*", header(starred.folder)["1_RE"])
    assert re.search(r" \*0\.40\* +\[1\.4[34]\] ", log(starred.folder))
    assert re.search(r" \*0\.40\* +\[1\.4[34]\] ", starred.stdout.split("Iteration")[-1])
    assert header(starred.folder)["FLAGS"].split(" ").count("2") == 1
    assert READERS["galfitools_unflagged"](starred.folder) == 0
    assert READERS["galfit_python_parser"](starred.folder)["1_RE"][2] is True
    assert pymorph(starred.folder)["bulge"]["re"][0] == 0.4
    assert READERS["morphofit"](starred.folder)["1_RE"][0] == 0.4


def test_tied_values_stand_between_braces_and_pymorph_loses_them(fitted):
    assert re.fullmatch(r"\{\d+\.\d{4}\}", header(fitted("tied").folder)["2_XC"])
    assert "disk" not in pymorph(fitted("tied").folder)


def test_a_fit_stopped_by_imax_is_flagged(tmp_path):
    assert run(copied("example", tmp_path), "-imax", "3", MENU).code == 0
    assert "1" in header(tmp_path)["FLAGS"].split(" ")
    assert "reached" in (tmp_path / "stdout.txt").read_text()


# other modes


@pytest.mark.parametrize("way", ["-o1", "P) 1"])
def test_model_only_is_one_hdu_with_the_header(tmp_path, way):
    option = [way] if way.startswith("-") else []
    result = run(copied("example", tmp_path, changed(("P) 0", "P) 0" if option else way))), *option, MENU)
    assert (result.code, result.written) == (0, {"imgblock.fits"})
    with fits.open(tmp_path / "imgblock.fits") as (model,):
        assert model.header["COMP_1"] == "sersic" and model.data.shape == (68, 72)


def test_subcomponents_start_at_hdu_2_in_the_order_of_the_menu(tmp_path, fitted):
    copied("point_source", tmp_path, changed((" 1) 29.43 30.98 1 1", " 1) 29.43 30.98 0 0")))
    result = run(tmp_path, "-o3", MENU)
    assert (result.code, result.written) == (0, {"subcomps.fits"})
    with fits.open(tmp_path / "subcomps.fits") as hdus:
        assert not hdus[0].data.any()
        own = hdus[1].header
        names = [own[f"COMP_{k}"] for k in (1, 2, 3)]
        assert [hdus[k + 1].header["OBJECT"] for k in (1, 2, 3)] == names == ["sersic", "psf", "sky"]
        assert len(hdus) == 5 and "LOGFILE" in own
        assert np.array_equal(hdus[1].data, fits.getdata(tmp_path / "image.fits"))
        together = sum(hdu.data.astype(float) for hdu in hdus[2:])
    run(tmp_path, "-o2", MENU)
    model = fits.getdata(tmp_path / "imgblock.fits", 2)
    assert np.abs(together - model).max() <= 1e-5 * model.max()


def test_outsig_writes_a_positive_sigma_image_of_the_section(tmp_path):
    copied("example", tmp_path, changed(("H) 1 72 1 68", "H) 3 60 5 64")))
    result = run(tmp_path, "-o2", "-outsig", MENU)
    assert (result.code, result.written) == (0, {"imgblock.fits", "sigma.fits"})
    with fits.open(tmp_path / "sigma.fits") as (sigma,):
        assert sigma.data.shape == (60, 58) and (sigma.data > 0).all()


# failures


RE, N = " 4) 4.549 1", " 5) 1.435 1"


@pytest.mark.parametrize("zeros", [{RE: " 4) 0 1", N: " 5) 0 1"}, {RE: " 4) 0 0"}, {N: " 5) 0 0"}], ids=str)
def test_a_start_without_a_model_fails_loudly_and_writes_nothing(tmp_path, zeros):
    result = run(copied("example", tmp_path, changed(*zeros.items())), MENU)
    assert (result.code != 0, result.written) == (True, set())
    assert "Doh!" in result.stdout and not succeeded(result.stdout)
    assert SUCCESS not in result.stdout and FAILURE in result.stdout


@pytest.mark.parametrize("arguments", [["nosuch.feedme"], []])
def test_a_missing_menu_ends_with_an_error(tmp_path, arguments):
    result = run(tmp_path, *arguments)
    assert (result.code != 0, result.written, result.stderr.count("\n")) == (True, set(), 1)
