"""``galfeed check``: the command, what it shares with a run, and what menus and constraints show by themselves."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from checked import BACKGROUND, GALAXY, MENU, lines, star, value_place, write

from galfeed.check import Finding
from galfeed.cli import main
from galfeed.errors import Place, Remark
from galfeed.options import Options, parse

FIXTURES = Path(__file__).parents[1] / "compat_fixtures"
ODD = {**GALAXY, "5": "14 1"}


def said(capfd, *arguments):
    """Exit code, stdout and stderr of the command."""
    code = main([*map(str, arguments)])
    out, err = capfd.readouterr()
    return code, out.splitlines(), err.splitlines()


# The command


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_to_say(folder, capfd):
    write(folder)
    assert said(capfd, "check", MENU) == (0, [], [])


def test_a_warning_is_one_line_and_no_failure(folder, capfd):
    write(folder, ODD, BACKGROUND)
    code, out, err = said(capfd, "check", MENU)
    assert (code, err) == (0, [])
    assert len(out) == 1
    assert out[0].startswith(f"{value_place(folder, '5)')}: warning: component 1, sersic: n starts at 14")


def test_a_job_that_cannot_run(folder, capfd):
    write(folder, B="nowhere/out.fits")
    code, out, err = said(capfd, "check", MENU)
    assert (code, err) == (1, [])
    assert out == [f"{value_place(folder, 'B)')}: error: nowhere/out.fits: cannot be written: no folder 'nowhere'"]


def test_a_menu_that_cannot_be_read_is_an_error_at_line_and_column_1(folder, capfd):
    assert said(capfd, "check", "nosuch")[:2] == (
        1,
        ["nosuch:1:1: error: No such file or directory, expected an input file"],
    )


@pytest.mark.parametrize("words", [["-imax"], ["--fast", MENU], ["-o1"]])
def test_a_wrong_command_line(folder, capfd, words):
    write(folder)
    code, out, err = said(capfd, "check", *words)
    assert (code, out, len(err)) == (2, [], 1)


def test_several_menus_are_each_read_in_their_own_folder(folder, capfd):
    for name, components in (("good", (GALAXY, BACKGROUND)), ("odd", (ODD, BACKGROUND)), ("bad", ({"0": "banana"},))):
        (folder / name).mkdir()
        write(folder / name, *components)
    code, out, err = said(capfd, "check", *(f"{name}/{MENU}" for name in ("good", "odd", "bad")))
    assert code == 1
    assert [line.split(":")[0] for line in out] == [f"odd/{MENU}", f"bad/{MENU}"]
    assert err == ["3 menus: 1 cannot run, 1 with warnings"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("check a", Options(("a",), check=True)),
        ("check a -o1 b", Options(("a", "b"), mode=1, check=True)),
        ("check -skyped 3 a", Options(("a",), skyped=3.0, check=True)),
        ("check", Options(("check",))),
        ("./check", Options(("./check",))),
        ("a check", Options(("a", "check"))),
        ("-o1 check", Options(("check",), mode=1)),
    ],
)
def test_check_is_the_sub_command_where_it_comes_first_and_others_follow(words, expected):
    assert parse(words.split()) == expected


def test_nothing_is_written(folder):
    write(folder, ODD, BACKGROUND)

    def files():
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}

    before = files()
    for options in ((), ("-outsig",), ("-o3", "--json")):
        main(["check", MENU, *options])
    assert files() == before


def test_a_finding_that_no_terminal_would_show_is_escaped():
    assert str(Finding(Remark("a\nb", Place(), "c\x1bd"))) == "a\\nb:1:1: warning: c\\x1bd"


# What a run says


@pytest.mark.parametrize("case", [path.parent.name for path in sorted(FIXTURES.glob("*/case.toml"))])
def test_what_stops_a_run_is_an_error(case, tmp_path, capfd):
    target = tmp_path / "job"
    shutil.copytree(FIXTURES / case, target, ignore=shutil.ignore_patterns("expected", "case.toml"))
    other = tmp_path / "other"
    other.mkdir()
    write(other)
    code, out, _ = said(capfd, "check", target / MENU, other / MENU)
    errors = [line for line in out if ": error: " in line]
    assert code == bool(errors) == case.startswith("bad_")
    assert len(errors) == code


@pytest.mark.parametrize(
    "changes",
    [
        {"F": "nosuch.fits"},
        {"C": "nosuch.fits"},
        {"D": "nosuch.fits"},
        {"A": "nosuch.fits"},
        {"G": "nosuch.txt"},
        {"constraints": "1 banana 3 4\n7 n 1 2\n"},
        {"header": {"EXPTIME": "long"}},
        {"mask": np.zeros((50, 70))},
    ],
    ids=["no mask", "no sigma", "no psf", "no data", "no constraints", "odd constraints", "odd header", "mask's size"],
)
def test_what_a_run_warns_of_is_said(folder, capfd, changes):
    write(folder, **changes)
    _, _, warned = said(capfd, "-o2", MENU)
    assert warned
    found = {line.split(": warning: ")[-1] for line in lines(folder, "-o2")}
    assert {line.split(": ", 1)[1] for line in warned if "drawn as GALFIT does" not in line} <= found


def test_one_error_does_not_hide_another(folder):
    write(
        folder,
        psf=np.full((25, 25), np.nan),
        sigma=np.full((60, 64), np.nan),
        constraints="1_9 x offset\n",
        B="nowhere/out.fits",
    )
    (folder / "mask.fits").write_bytes(b"SIMPLE  =")
    menu = (folder / MENU).read_text()
    (folder / MENU).write_text(menu.replace("F) none", "F) mask.fits"))
    errors = [line for line in lines(folder) if ": error: " in line]
    assert {line.split(":")[0] for line in errors} == {MENU, str(folder / "limits.txt")}
    places = {line.rsplit(": error:")[0] for line in errors}
    assert {value_place(folder, key) for key in ("B)", "C)", "D)", "F)")} <= places
    assert len(errors) == 5


def test_an_image_cut_short_does_not_hide_the_psf(folder):
    write(folder, psf=star(dx=2.0))
    data = (folder / "image.fits").read_bytes()
    (folder / "image.fits").write_bytes(data[:6000])
    short, psf = lines(folder)
    assert short.startswith(f"{value_place(folder, 'A)')}: error: ") and "cut short" in short
    assert psf.startswith(f"{value_place(folder, 'D)')}: warning: ") and "centroid" in psf


@pytest.mark.parametrize(("region", "words"), [("60 1 1 50", "reversed"), ("100 120 1 50", "outside the image")])
def test_a_region_that_is_none(folder, region, words):
    write(folder, H=region)
    errors = [line for line in lines(folder) if ": error: " in line]
    assert len(errors) == 1 and errors[0].startswith(value_place(folder, "H)")) and words in errors[0]


def test_a_region_that_is_cut(folder):
    write(folder, H="-5 80 1 60")
    (found,) = lines(folder)
    assert found.startswith(f"{value_place(folder, 'H)')}: warning: ") and found.endswith("cut to 1 64 1 60")


def test_a_star_without_a_psf(folder):
    write(folder, {"0": "psf", "1": "32.4 29.7 1 1", "3": "18.3 1"}, BACKGROUND, D="none")
    (found,) = lines(folder)
    assert found.startswith(f"{value_place(folder, '0)')}: error: ")
    assert lines(folder, "-o1")[0].startswith(f"{value_place(folder, '0)')}: warning: ")


@pytest.mark.parametrize(
    ("options", "name"), [((), "fit.log"), (("-outsig",), "sigma.fits"), (("-o3",), "subcomps.fits")]
)
def test_outputs_in_the_way(folder, options, name):
    write(folder)
    (folder / name).mkdir()
    (found,) = lines(folder, *options)
    assert found.startswith(f"{MENU}:1:1: error: {name}: cannot be written")


@pytest.mark.parametrize(("key", "what"), [("A", "the data image"), ("F", "the mask")])
def test_an_output_in_place_of_an_input(folder, key, what):
    write(folder, mask=np.zeros((60, 64)), B=f"../{folder.name}/{'image' if key == 'A' else 'mask'}.fits")
    (found,) = lines(folder)
    assert found.startswith(f"{value_place(folder, 'B)')}: warning: ") and f"{key}) {what}, which the run over" in found


# What menus and constraints show


def found_in(folder, *components, constraints="", **control):
    """Findings of a menu; its images are of no interest."""
    write(folder, *components, constraints=constraints, **control)
    return [line for line in lines(folder) if "noise" not in line]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"4": "-3 1"}, "R_e starts at -3 [pix], below its natural limit of 0.01"),
        ({"4": "0.3 1"}, "R_e starts at 0.3 [pix], too small to be told from a point"),
        ({"4": "90 1"}, "R_e starts at 90 [pix], more than the fitting region, 64 x 60"),
        ({"5": "0.1 1"}, "n starts at 0.1, expected 0.2 to 10"),
        ({"5": "60 1"}, "n starts at 60, above its natural limit of 50"),
        ({"9": "1.8 1"}, "b/a is 1.8, above 1, and is turned over"),
        ({"9": "1 1"}, "b/a starts at 1, where PA has no effect"),
        ({"9": "0.7 1", "C0": "-2 1"}, "C0 starts at -2, below"),
        ({"F1": "3 20 1 1"}, "f1_amp starts at 3, above its natural limit of 2"),
    ],
)
def test_a_start_out_of_bounds(folder, change, words):
    (found,) = found_in(folder, GALAXY | change, BACKGROUND)
    assert found.startswith(f"{value_place(folder, f'{[*change][-1]})')}: warning: component 1, sersic: {words}")


def test_a_free_centre_outside_the_region(folder):
    (found,) = found_in(folder, GALAXY, {**GALAXY, "1": "80 29.7 1 1"}, BACKGROUND)
    assert ": warning: component 2, sersic: its centre starts at (80, 29.7), outside" in found


def test_a_neighbour_held_outside_the_region(folder):
    assert found_in(folder, GALAXY, {**GALAXY, "1": "80 29.7 0 0"}, BACKGROUND) == []


@pytest.mark.parametrize(
    ("constraint", "key", "words"),
    [
        ("1 n 2 to 8", "5)", "n of component 1 starts at 1.4, outside 2 to 8 of limits.txt:1"),
        ("# limits\n1 x 1 2", "1)", "the change of x of component 1 starts at 0, outside 1 to 2 of limits.txt:2"),
        ("1-2 mag 2 3", "3)", "mag of component 1 - that of component 2 starts at -0.7, outside 2 to 3"),
        ("2/1 re 3 4", "4)", "R_e of component 2 / that of component 1 starts at 2, outside 3 to 4"),
    ],
)
def test_a_start_that_a_constraint_forbids(folder, constraint, key, words):
    other = {**GALAXY, "3": "19 1", "4": "8.4 1", "5": "2.8 1"}
    (found,) = found_in(folder, GALAXY, other, BACKGROUND, constraints=f"{constraint}\n")
    assert f": warning: {words}" in found
    expected = value_place(folder, key)
    if constraint.startswith("2"):
        line = (folder / MENU).read_text().splitlines().index("4) 8.4 1") + 1
        expected = f"{MENU}:{line}:4"
    assert found.startswith(expected)


@pytest.mark.parametrize("constraint", ["1 n 1 to 8", "1 x -2 2", "1-2 mag -2 3", "1_2 x offset"])
def test_a_start_that_the_constraints_allow(folder, constraint):
    other = {**GALAXY, "3": "19 1", "4": "8.4 1", "5": "2.8 1"}
    assert found_in(folder, GALAXY, other, BACKGROUND, constraints=f"{constraint}\n") == []


def test_a_tie_to_a_fixed_number(folder):
    third = {**GALAXY, "4": "9 1", "5": "4 0"}
    (found,) = found_in(
        folder, GALAXY, {**GALAXY, "4": "6 1", "5": "3 1"}, third, BACKGROUND, constraints="1_2_3 n ratio\n"
    )
    assert found.startswith(f"{value_place(folder, 'G)')}: warning: 'limits.txt' ties a parameter that is fixed")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"9": "1 0"}, True),
        ({"9": "1 0", "10": "30 0"}, False),
        ({"9": "1 0", "F1": "0.1 20 1 1"}, False),
        ({"9": "0.9 0"}, False),
    ],
)
def test_an_angle_without_effect(folder, change, said):
    found = found_in(folder, GALAXY | change, BACKGROUND)
    assert len(found) == said
    assert all("PA is free, but b/a is fixed at 1" in line for line in found)


@pytest.mark.parametrize(
    ("change", "alike"),
    [({}, True), ({"3": "20 1"}, True), ({"5": "4 1"}, False), ({"1": "36 29.7 1 1"}, False), ({"0": "devauc"}, False)],
)
def test_components_that_start_alike(folder, change, alike):
    found = found_in(folder, GALAXY, GALAXY | change, BACKGROUND)
    assert len(found) == alike
    assert all("components 1 and 2, sersic, start alike" in line for line in found)


@pytest.mark.parametrize(("toggle", "many"), [("1", True), ("0", False)])
def test_two_skies(folder, toggle, many):
    found = found_in(folder, GALAXY, BACKGROUND, {**BACKGROUND, "1": f"0 {toggle}"})
    assert len(found) == many
    assert all("components 2 and 3 are both skies" in line for line in found)


def test_a_gradient_in_a_tiny_region(folder):
    (found,) = found_in(folder, GALAXY, {**BACKGROUND, "2": "0 1", "3": "0 1"}, H="25 40 1 60", I="30 30")
    assert "its gradient in x is free, but the fitting region has 16 pixels along x" in found


def test_nothing_is_free(folder):
    fixed = [{key: value.replace(" 1", " 0") for key, value in block.items()} for block in (GALAXY, BACKGROUND)]
    (found,) = found_in(folder, *fixed)
    assert found.startswith(f"{value_place(folder, '0)')}: warning: no parameter is free")


def test_starts_are_of_no_interest_where_nothing_is_fitted(folder):
    write(folder, ODD, BACKGROUND)
    assert lines(folder)
    assert lines(folder, "-o2") == []


# The page on it


def test_the_example_of_the_documentation(folder, capfd):
    blocks = (Path(__file__).parents[1] / "docs" / "checking.md").read_text().split("```")
    menu, answer = (block.strip() for block in blocks[1:4:2])
    shutil.copytree(FIXTURES / "example", folder, dirs_exist_ok=True)
    (folder / MENU).write_text(f"{menu}\n")
    assert said(capfd, "check", MENU) == (0, answer.splitlines(), [])
