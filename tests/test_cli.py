"""The command: exit codes, files, and nothing left behind where it fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from galfeed import images
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
    assert code == 1
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


def test_words_that_are_not_utf8_are_printed_as_they_are(folder):
    menu = (folder / MENU).read_bytes().replace(b"C) none", b"C) \xe9\xff.fits")
    (folder / MENU).write_bytes(menu)
    script = "import galfeed.cli; galfeed.cli.command()"
    for encoding in ("utf-8", "ascii"):
        ran = subprocess.run(
            [sys.executable, "-c", script, "-o1", MENU],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert ran.returncode == 0, ran.stderr
        assert b"C) \xe9\xff.fits " in ran.stdout
        assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize("line", ["C0) -0.3 1", "F1) 0.1 30 1 1", "B2) 0.1 1", "R0) log\nR1) 1 1\nR2) 3 1\nR3) 30 1"])
def test_a_hidden_parameter_does_nothing_to_a_sky(folder, line):
    assert main(["-o1", MENU]) == 0
    plain = fits.getdata("imgblock.fits")
    with open(MENU, "a") as menu:
        menu.write(f"\n{line}\n")
    assert main(["-o1", MENU]) == 0
    np.testing.assert_array_equal(fits.getdata("imgblock.fits"), plain)
    assert main(["-imax", "1", MENU]) in (0, 1)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_too_little_memory_is_one_line(folder, capfd, monkeypatch, error):
    def load(*_):
        raise error

    monkeypatch.setattr(images, "load", load)
    before = files(folder)
    assert main([MENU]) == 2
    assert capfd.readouterr().err == f"{MENU}: not enough memory for images of this size\n"
    assert files(folder) == before


def test_a_psf_sampled_finer_than_galfits_grids(folder):
    changed(folder, "E) 1", "E) 21")
    changed(folder, "H) 1 72 1 68", "H) 28 34 30 36")
    assert main(["-o1", MENU]) == 0
    assert np.isfinite(fits.getdata("imgblock.fits")).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("imgblock.fits", 300 * "x", "cannot be written"),
        ("imgblock.fits", f"{300 * 'x'}/a.fits", "cannot be written: no folder"),
    ],
)
def test_what_the_system_cannot_do_is_one_line(folder, capfd, old, new, message):
    changed(folder, old, new)
    before = files(folder)
    assert main(["-o1", MENU]) == 2
    assert message in capfd.readouterr().err.splitlines()[-1]
    assert files(folder) == before


def header(name, hdu=0):
    with fits.open(name) as block:
        return block[hdu].header


@pytest.mark.parametrize("mode", ["4", "-1"])
def test_another_mode_writes_a_block_without_chi2(folder, mode):
    changed(folder, "P) 0", f"P) {mode}")
    before = files(folder)
    assert main([MENU]) == 0
    assert files(folder) - before == {"imgblock.fits"}
    assert [header("imgblock.fits", 2)[word] for word in ("CHISQ", "NDOF", "CHI2NU", "LOGFILE")] == [
        0.0, 0, 0.0, "galfit.01",
    ]  # fmt: skip


def test_the_restart_file_does_not_name_a_kernel_that_was_not_read(folder):
    changed(folder, "D) psf.fits", "D) psf.fits nosuch.txt")
    assert main(["-imax", "1", MENU]) == 0
    (line,) = (line for line in Path("galfit.01").read_text().splitlines() if line.startswith("D)"))
    assert line == "D) psf.fits            # Input PSF image and (optional) diffusion kernel"
    assert header("imgblock.fits", 2)["PSF"] == "psf.fits"


@pytest.mark.parametrize("skip", ["1", "2", "-1"])
def test_every_number_but_0_skips_a_component(folder, skip):
    assert main(["-o1", MENU]) == 0
    shown = fits.getdata("imgblock.fits").max()
    changed(folder, "Z) 0\n\n 0) sky", f"Z) {skip}\n\n 0) sky")
    assert main(["-o1", MENU]) == 0
    assert fits.getdata("imgblock.fits").max() == pytest.approx(30.5)
    assert shown > 100


def test_a_position_that_is_no_number_has_no_solution(folder, capfd):
    changed(folder, "1) 30.91 33.41", "1) nan 33.41")
    before = files(folder)
    assert main([MENU]) == 1
    assert "not finite" in capfd.readouterr().err
    assert files(folder) == before
