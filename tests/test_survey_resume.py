"""A batch that is killed again and again, and gone on with, ends as if nothing had happened.

``GALFEED_KILLS`` sets how often; a few times by default, as each start loads torch.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from stamps import COMMAND, environment, galfeed, stamp, tree

KILLS = int(os.environ.get("GALFEED_KILLS", 3))
JOBS = int(os.environ.get("GALFEED_KILLED_JOBS", 10))
WORDS = (".", "--catalog", "../all.fits", "--workers", "2", "--chunk", "2", "--json")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Half of the jobs in one folder, the others in folders of their own."""
    folder = tmp_path_factory.mktemp("jobs") / "jobs"
    for number in range(JOBS):
        stamp(folder / ("shared" if number % 2 else f"own{number:02d}"), f"{number:03d}", number)
    return folder


@pytest.fixture(scope="module")
def whole(jobs, tmp_path_factory):
    """All files after a run that nothing has disturbed, the catalogue among them."""
    folder = shutil.copytree(jobs, tmp_path_factory.mktemp("whole") / "jobs")
    assert galfeed(folder, *WORDS).returncode == 0
    return outputs(folder)


def outputs(folder: Path) -> dict[str, bytes]:
    return tree(folder) | {"catalogue": (folder.parent / "all.fits").read_bytes()}


def started(folder: Path, *more: str, **how: object) -> subprocess.Popen[str]:
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*COMMAND, *WORDS, *more], cwd=folder, env=environment(), **quiet, **how)


def wait_for_journal(folder: Path, run: subprocess.Popen[str], size: int) -> None:
    """Until the journal has grown beyond a size, or the run has ended."""
    path = folder.parent / "all.fits.journal"
    while run.poll() is None and not (path.exists() and path.stat().st_size > size):
        time.sleep(0.0005)


def children(process: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_killed_at_random_moments(jobs, whole, tmp_path):
    folder = shutil.copytree(jobs, tmp_path / "jobs")
    chance = random.Random(5)
    path = folder.parent / "all.fits.journal"
    for kill in range(KILLS):
        run = started(folder, *(["--resume"] if kill else []))
        size = path.stat().st_size if kill else 0
        wait_for_journal(folder, run, size + chance.randrange(1, 1 + 12_000 * JOBS // (10 * KILLS)))
        time.sleep(chance.uniform(0, 0.003))
        workers = children(run.pid)
        if kill % 3 == 2 and workers:  # not the main process: it goes on without its worker
            os.kill(chance.choice(workers), signal.SIGKILL)
            time.sleep(0.05)
        run.kill()
        run.communicate()
    ran = galfeed(folder, *WORDS, "--resume")
    assert ran.returncode == 0, ran.stderr
    found = outputs(folder)
    assert found.keys() == whole.keys()
    for name, content in found.items():
        assert content == whole[name], name


def test_asked_to_end(jobs, whole, tmp_path):
    """Ctrl-C reaches all processes of a terminal: one line, and nothing is left running."""
    folder = shutil.copytree(jobs, tmp_path / "jobs")
    run = started(folder, process_group=0)
    wait_for_journal(folder, run, 2000)
    workers = children(run.pid)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said.count("\n") == 1 and said.startswith("interrupted: ") and "--resume" in said
    assert workers and not any(map(alive, workers))
    assert not (tmp_path / "all.fits").exists()
    assert galfeed(folder, *WORDS, "--resume").returncode == 0
    assert outputs(folder) == whole


def test_nothing_to_go_on_with_is_said(jobs, tmp_path):
    folder = shutil.copytree(jobs / "own00", tmp_path / "jobs")
    ran = galfeed(folder, ".", "--resume", "-o1")
    assert ran.returncode == 0
    assert ran.stderr.startswith("galfeed.journal: there is no journal to go on with")
