"""Many runs in one folder, half of them killed: nothing half-written, nothing lost, nothing mixed.

``GALFEED_CONCURRENT`` sets how many; a few by default, as each of them loads torch.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from astropy.io import fits

from galfeed import feedme
from galfeed.output.fitlog import RULE

EXAMPLE = Path(__file__).parents[1] / "compat_fixtures" / "example"
RUNS = int(os.environ.get("GALFEED_CONCURRENT", 6))
COMMAND = [sys.executable, "-c", "from galfeed.cli import command; command()"]


@pytest.fixture
def folder(tmp_path):
    """The example with one menu a run, each with an output of its own."""
    shutil.copytree(EXAMPLE, tmp_path, ignore=shutil.ignore_patterns("expected", "case.toml"), dirs_exist_ok=True)
    menu = (tmp_path / "galfit.feedme").read_text()
    for run in range(RUNS):
        (tmp_path / f"{run}.feedme").write_text(menu.replace("imgblock.fits", f"{run}.fits"))
    return tmp_path


def start(folder: Path) -> list[subprocess.Popen]:
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return [subprocess.Popen([*COMMAND, f"{run}.feedme"], cwd=folder, env=environment, **quiet) for run in range(RUNS)]


def entries(folder: Path) -> dict[str, str]:
    """Entries of fit.log by the name of their restart file; the log has nothing else."""
    blocks = (folder / "fit.log").read_text().split(RULE + "\n")
    assert blocks[0] == blocks[-1] == "" and not any(blocks[2:-1:2])
    texts = blocks[1::2]
    found = {text.split("Restart file    : ")[1].split()[0]: text for text in texts}
    assert len(found) == len(texts)
    return found


def check_whole(folder: Path, known: set[str]) -> set[str]:
    """Every file of the folder is complete and of a run; returns the names of the restart files."""
    new = {path.name for path in folder.iterdir()} - known - {"fit.log"}
    restarts = {name for name in new if name.startswith("galfit.")}
    blocks = {f"{run}.fits" for run in range(RUNS)} & new
    assert new == restarts | blocks
    for name in restarts:
        assert len(feedme.load(folder / name, name).components) == 2
    for name in blocks:
        with fits.open(folder / name) as block:
            assert len([hdu.data.sum() for hdu in block]) == 4
    for restart, text in entries(folder).items():
        assert restart in restarts
        output = text.split("Output image    : ")[1].split()[0]
        assert fits.getval(folder / output, "LOGFILE", 2) == restart
        assert f"Init. par. file : {output.removesuffix('.fits')}.feedme" in text
    return restarts


def test_runs_in_one_folder(folder):
    known = {path.name for path in folder.iterdir()}
    assert [run.wait(600) for run in start(folder)] == [0] * RUNS
    assert check_whole(folder, known) == {f"galfit.{number:02d}" for number in range(1, RUNS + 1)}
    assert len(entries(folder)) == RUNS


def test_half_of_the_runs_are_killed(folder):
    known = {path.name for path in folder.iterdir()}
    begin = time.monotonic()
    subprocess.run([*COMMAND, "-imax", "1", "galfit.feedme"], cwd=folder, check=True, capture_output=True)
    longest = (time.monotonic() - begin) * (1 + RUNS / (os.cpu_count() or 1))
    (folder / "galfit.01").unlink()
    (folder / "imgblock.fits").unlink()
    (folder / "fit.log").unlink()

    runs = start(folder)
    chance = random.Random(2026)
    moments = sorted((chance.uniform(0.2, longest), run) for run in chance.sample(runs, RUNS // 2))
    begin = time.monotonic()
    for moment, run in moments:
        time.sleep(max(begin + moment - time.monotonic(), 0))
        run.send_signal(signal.SIGKILL)
    codes = [run.wait(600) for run in runs]
    assert codes.count(0) >= RUNS - RUNS // 2
    check_whole(folder, known)
    outputs = {text.split("Output image    : ")[1].split()[0] for text in entries(folder).values()}
    assert {f"{run}.fits" for run, code in enumerate(codes) if code == 0} <= outputs
