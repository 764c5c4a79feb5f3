"""The command: exit codes, files, and nothing left behind where it fails."""

import shutil
from pathlib import Path

import pytest
from astropy.io import fits

from galfeed.cli import main

EXAMPLE = Path(__file__).parents[1] / "compat_fixtures" / "example"
MENU = "galfit.feedme"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the example, entered."""
    target = tmp_path / "job"
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("expected", "case.toml"))
    monkeypatch.chdir(target)
    return target


def files(folder):
    return {p.name for p in folder.iterdir()}


def changed(folder, old, new):
    menu = folder / MENU
    text = menu.read_text()
    assert old in text
    menu.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("options", "written", "hdus"),
    [
        ("-o1", {"imgblock.fits"}, 1),
        ("-o2", {"imgblock.fits"}, 4),
        ("-o3", {"subcomps.fits"}, 4),
        ("-o2 -outsig", {"imgblock.fits", "sigma.fits"}, 4),
        ("-imax 1", {"imgblock.fits", "fit.log", "galfit.01"}, 4),
    ],
)
def test_each_mode_writes_its_files(folder, options, written, hdus):
    before = files(folder)
    assert main([*options.split(), MENU]) == 0
    assert files(folder) - before == written
    image = next(name for name in written if name in ("imgblock.fits", "subcomps.fits"))
    with fits.open(image) as block:
        assert len(block) == hdus


def test_a_second_run_takes_the_next_number_and_appends(folder):
    assert main([MENU, "-imax", "1"]) == main([MENU, "-imax", "1"]) == 0
    assert {"galfit.01", "galfit.02"} <= files(folder)
    assert (folder / "fit.log").read_text().count("Restart file") == 2


def test_several_menus_run_in_their_own_folders(folder, capfd):
    for name in ("a", "b"):
        shutil.copytree(folder, folder / name, ignore=shutil.ignore_patterns("a", "b"))
    (folder / "c").mkdir()
    code = main([f"a/{MENU}", f"c/{MENU}", f"b/{MENU}", "-o1"])
    assert code == 2
    assert all((folder / name / "imgblock.fits").exists() for name in ("a", "b"))
    assert "No such file" in capfd.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nosuch.feedme"], ["-i", MENU], ["-imax"]])
def test_what_galfit_would_wait_for_ends_with_one_line(folder, capfd, arguments):
    before = files(folder)
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert err.count("\n") == 1
    assert files(folder) == before


def test_an_output_that_cannot_be_written_is_seen_before_the_fit(folder, capfd):
    changed(folder, "imgblock.fits", "nowhere/imgblock.fits")
    before = files(folder)
    assert main([MENU]) == 2
    out, err = capfd.readouterr()
    assert "nowhere" in err and "Iteration" not in out
    assert files(folder) == before


def test_a_fit_without_solution_writes_nothing_and_says_so(folder, capfd):
    text = (folder / MENU).read_text()
    sky = text[text.rindex(" 0) sky") :]
    (folder / MENU).write_text(text + sky)  # two skies
    before = files(folder)
    assert main([MENU]) == 1
    out, err = capfd.readouterr()
    assert "Doh!" in out and "...now exiting to system..." in out
    assert "Fit summary is now being saved" not in out
    assert "no solution" in err
    assert files(folder) == before


def test_the_restart_file_fed_back_changes_nothing(folder):
    assert main([MENU]) == 0
    first = fits.getheader("imgblock.fits", 2)
    assert main(["galfit.01"]) == 0
    second = fits.getheader("imgblock.fits", 2)
    assert second["CHISQ"] <= first["CHISQ"] * (1 + 1e-6)
    assert second["INITFILE"] == "galfit.01"
