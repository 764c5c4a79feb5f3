"""Batches: outputs as of single runs, whatever the others do."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import pty
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from stamps import COMMAND, DISK, SKY, environment, galfeed, stamp, tree

from galfeed import __version__ as galfeed_version
from galfeed import fit, onejob
from galfeed.cli import main
from galfeed.clock import Clock
from galfeed.errors import GalfeedError
from galfeed.options import parse
from galfeed.output import report
from galfeed.survey import catalog, devices, entries, rows, stages
from galfeed.survey.rows import Number
from galfeed.survey.stages import Failure

SHARED = ("a", "b", "c", "d", "e", "f", "g", "h")
BAD = {"b": 2, "e": 1, "g": 2}
"""Exit codes of those that cannot be fitted."""


def make_jobs(folder: Path) -> None:
    """Eight jobs in one folder, three of them bad, and one in each of two others."""
    for seed, name in enumerate(SHARED):
        stamp(folder / "shared", name, seed, *((DISK, SKY) if name in "cf" else ()))
    (folder / "shared" / "b.feedme").write_text("A) b.fits\nH) 1 10 1\n")
    menu = folder / "shared" / "e.feedme"
    menu.write_text(menu.read_text().replace("\n1) ", "\n1) nan ", 1))  # no solution
    menu = folder / "shared" / "g.feedme"
    menu.write_text(menu.read_text().replace("B) g.out.fits", "B) nowhere/g.out.fits"))
    stamp(folder / "one", "galfit", 20)
    stamp(folder / "two" / "deep", "galfit", 21, P="2")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    make_jobs(folder)
    return folder


@pytest.fixture(scope="module")
def alone(jobs, tmp_path_factory):
    """The folder after a single run of each job, one after the other."""
    folder = shutil.copytree(jobs, tmp_path_factory.mktemp("alone") / "jobs")
    with pytest.MonkeyPatch.context() as patch:
        for menu in sorted(folder.rglob("*.feedme")):
            patch.chdir(menu.parent)
            assert main([menu.name, "--json"]) == BAD.get(menu.stem, 0)
    return folder


@pytest.fixture(scope="module")
def batch(jobs, tmp_path_factory):
    """The folder after one run of all, and what that has said."""
    folder = shutil.copytree(jobs, tmp_path_factory.mktemp("batch") / "jobs")
    ran = galfeed(folder, ".", "--json", "--workers", "2", "--chunk", "3", "--catalog", "../all.fits")
    return folder, ran


def test_outputs_are_those_of_single_runs(batch, alone):
    folder, _ = batch
    assert tree(folder).keys() == tree(alone).keys()
    for name, content in tree(folder).items():
        assert content == tree(alone)[name], name
    assert (alone / "shared" / "galfit.05").exists() and not (alone / "shared" / "galfit.06").exists()


def test_a_summary_names_what_failed(batch):
    _, ran = batch
    assert ran.returncode == 1 and ran.stdout == ""
    *failed, warned, last = ran.stderr.splitlines()
    assert [line.partition(":")[0] for line in failed] == [f"shared/{name}.feedme" for name in BAD]
    assert "shared/b.feedme:2: " in failed[0] and "four whole numbers" in failed[0]
    assert "not finite" in failed[1]
    assert "nowhere" in failed[2]
    assert warned == "1 job has warnings: column 'warnings' of the catalogue, texts in ../all.fits.journal"
    assert "10 jobs" in last and "3 failed" in last


def test_images_that_are_written_over_are_named(tmp_path):
    """By another name of the folder, too; what is written to /dev/null is no loss."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "link").symlink_to("jobs")
    outputs = {"a": "x.fits", "b": str(tmp_path / "link" / "x.fits"), "c": "c.fits", "d": "/dev/null", "e": "/dev/null"}
    for seed, (name, output) in enumerate(outputs.items()):
        stamp(tmp_path / "jobs", name, seed, P="2", B=output)
    ran = galfeed(tmp_path, "jobs", "--outputs", "imgblock")
    assert ran.returncode == 0
    over, last = ran.stderr.splitlines()
    assert over.startswith("1 image was written over by another job, such as in jobs/a.feedme and jobs/b.feedme, ")
    assert "5 jobs" in last and "0 failed" in last


def test_the_catalogue_has_all_jobs_in_order(batch):
    folder, _ = batch
    table = Table.read(folder.parent / "all.fits", mask_invalid=False)
    assert [*table["menu"]] == ["one/galfit.feedme", *(f"shared/{n}.feedme" for n in SHARED), "two/deep/galfit.feedme"]
    assert [*table["exit_code"]] == [0, *(BAD.get(name, 0) for name in SHARED), 0]
    assert [*table["status"][[0, 2, 5, 9]]] == ["converged", "failed", "nonfinite", "model_only"]
    good = table[table["exit_code"] == 0]
    assert [*good["restart"][1:6]] == [f"shared/galfit.{number:02d}" for number in range(1, 6)]
    assert np.isfinite(good["1_MAG"]).all() and good["1_MAG"].unit == "mag"
    disk = table["components"] == "expdisk sky"
    assert disk.sum() == 2 and np.isnan(table["1_N"][disk]).all() and np.isfinite(table["1_RS"][disk]).all()
    fitted = good["status"] == "converged"
    assert (good["1_XC_STDERR"][fitted] > 0).all() and np.isnan(good["1_XC_STDERR"][~fitted]).all()
    assert {*good["1_XC_STATE"]} == {"free"} and {*good["2_DSDX_STATE"]} == {"fixed"}


def test_a_batch_without_files(jobs, batch, tmp_path):
    folder = shutil.copytree(jobs, tmp_path / "jobs")
    before = tree(folder)
    ran = galfeed(folder, "shared", "--outputs", "none", "--catalog", "../c.fits", "--chunk", "1", "--workers", "1")
    assert ran.returncode == 1
    assert tree(folder) == before
    table, full = (
        Table.read(at / name, mask_invalid=False) for at, name in ((tmp_path, "c.fits"), (batch[0].parent, "all.fits"))
    )
    full = full[1:9]
    for word in set(table.colnames) - {"output", "restart", "message", "exit_code", "status"}:
        same = [i for i, name in enumerate(SHARED) if name != "g"]  # which only fails where it is written
        np.testing.assert_array_equal(np.array(table[word])[same], np.array(full[word])[same])


KILLER = """
import os, signal
from galfeed import images
load = images.load
def dying(job, *rest):
    if job.path.startswith("c."):
        os.kill(os.getpid(), signal.SIGUSR1)
    return load(job, *rest)
images.load = dying
"""


def test_a_job_that_kills_its_process_costs_itself(jobs, alone, tmp_path):
    folder = shutil.copytree(jobs / "shared", tmp_path / "jobs")
    ran = galfeed(folder, ".", "--catalog", "../c.fits", "--workers", "1", "--chunk", "4", script=KILLER)
    assert ran.returncode == 1
    assert "c.feedme: the process that worked on it was killed by SIGUSR1\n" in ran.stderr
    assert "8 jobs" in ran.stderr and "4 failed" in ran.stderr
    for name in "adfh":
        mine, theirs = (Path(at, f"{name}.out.fits").read_bytes() for at in (folder, alone / "shared"))
        assert len(mine) == len(theirs)
    assert (folder / "a.out.fits").read_bytes() == (alone / "shared" / "a.out.fits").read_bytes()
    assert (folder / "fit.log").read_text().count("Restart file") == 4


def test_a_job_that_had_failed_and_whose_process_dies_is_done(jobs, alone, tmp_path):
    """What an earlier run says of it does not stand for this one."""
    folder = shutil.copytree(jobs / "shared", tmp_path / "jobs")
    text = (folder / "c.feedme").read_text()
    (folder / "c.feedme").write_text("H) 1 10 1\n")
    words = (".", "--catalog", "../c.fits", "--workers", "1", "--chunk", "4")
    assert "c.feedme" in galfeed(folder, *words).stderr
    (folder / "c.feedme").write_text(text)
    once = KILLER.replace(
        'if job.path.startswith("c."):', 'if job.path.startswith("c.") and os.path.exists("../armed"):'
    )
    once = once.replace("        os.kill", '        os.remove("../armed"); os.kill')
    (tmp_path / "armed").touch()
    ran = galfeed(folder, *words, "--resume", script=once)
    assert not (tmp_path / "armed").exists()
    assert "c.feedme" not in ran.stderr and "3 failed" in ran.stderr
    assert len((folder / "c.out.fits").read_bytes()) == len((alone / "shared" / "c.out.fits").read_bytes())


PIPED = "import galfeed.survey; galfeed.survey.PIPED.add('cpu')\n"
"""Sends the jobs through the processes that feed a GPU."""


@pytest.mark.parametrize(
    "narrow",
    ["", "stages.PIXELS = 1", "pool.FITTED = 1", "pool.SHARE = 1e18", "pool.FLYING = 1"],
    ids=lambda s: s or "usual",
)
def test_a_pipeline_gives_the_same(jobs, alone, batch, tmp_path, narrow):
    """Also where images are so large that they are read one by one, fitted unit by unit, or fill the memory."""
    folder = shutil.copytree(jobs, tmp_path / "jobs")
    script = PIPED + "from galfeed.survey import pool, stages\n" + narrow + "\n"
    ran = galfeed(folder, ".", "--json", "--chunk", "3", "--catalog", "../all.fits", script=script)
    assert ran.returncode == 1
    assert tree(folder) == tree(alone)
    assert ran.stderr.splitlines()[:3] == batch[1].stderr.splitlines()[:3]
    assert (tmp_path / "all.fits").read_bytes() == (batch[0].parent / "all.fits").read_bytes()


FATAL = """
import os, signal
from galfeed import onejob
work = onejob.{name}
def dying(*arguments):
    if "c.feedme" in repr(arguments):
        os.kill(os.getpid(), signal.SIGKILL)
    return work(*arguments)
onejob.{name} = dying
"""


@pytest.mark.parametrize("stage", ["load", "task", "write"])
def test_a_job_that_kills_a_process_of_the_pipeline_costs_itself(jobs, alone, tmp_path, stage):
    folder = shutil.copytree(jobs / "shared", tmp_path / "jobs", ignore=shutil.ignore_patterns("[efgh].*"))
    ran = galfeed(folder, ".", script=PIPED + FATAL.format(name=stage))
    assert ran.returncode == 1
    assert "c.feedme: the process that worked on it was killed by SIGKILL" in ran.stderr
    assert "4 jobs" in ran.stderr and "2 failed" in ran.stderr
    assert (folder / "a.out.fits").read_bytes() == (alone / "shared" / "a.out.fits").read_bytes()
    assert [*map(str, sorted(folder.glob("galfit.*")))] == [str(folder / f"galfit.0{n}") for n in (1, 2)]


def test_a_torch_that_cannot_be_loaded_is_named(jobs, tmp_path):
    folder = shutil.copytree(jobs, tmp_path / "jobs")
    before = tree(folder)
    broken = tmp_path / "broken" / "torch"
    broken.mkdir(parents=True)
    (broken / "version.py").write_text("cuda = None\n")
    (broken / "__init__.py").write_text("raise OSError('libtorch.so: cannot open\\nshared object file')\n")
    script = f"import sys; sys.path.insert(0, {str(broken.parent)!r})\n"
    ran = galfeed(folder, ".", "-o1", "--catalog", "../c.csv", script=script)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert line.startswith("no worker can be started: OSError: libtorch.so: cannot open")
    assert not (tmp_path / "c.csv").exists()
    after = tree(folder)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if name.endswith("out.fits")]


def test_a_full_disk_costs_those_that_do_not_fit(tmp_path):
    for seed, name in enumerate(("a", "b", "c")):
        stamp(tmp_path, name, seed)
    with open(tmp_path / "b.fits", "r+b") as image:  # a long header, which the block takes over
        cards = image.read(2880)
        end = cards.index(b"END" + b" " * 77)
        pixels = image.read()
        image.seek(0)
        long = cards[:end] + 900 * f"{'COMMENT filled':80}".encode() + b"END"
        image.write(long.ljust(-(-len(long) // 2880) * 2880) + pixels)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    ran = galfeed(tmp_path, ".", "--catalog", "c.csv", preexec_fn=limit)
    assert ran.returncode == 1
    failed, last = ran.stderr.splitlines()
    assert failed.startswith("b.feedme: ") and "b.out.fits: cannot be written: file too large" in failed
    assert {"a.out.fits", "c.out.fits"} <= {path.name for path in tmp_path.iterdir()}
    assert sorted(path.name for path in tmp_path.glob("galfit.*")) == ["galfit.01", "galfit.02"]
    assert (tmp_path / "fit.log").read_text().count("Restart file") == 2


def test_a_fit_that_raises_is_tried_with_fewer_jobs(jobs, monkeypatch):
    monkeypatch.chdir(jobs / "shared")
    asked = parse(["."])
    loaded = [stages.read(entry, asked, Clock()) for entry in entries.find(asked)]
    right, sizes = fit.run, []

    def greedy(tasks, **more):
        sizes.append(len(tasks))
        if len(tasks) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate more")
        if any(task.job.path == "d.feedme" for task in tasks):
            raise ValueError("bad luck")
        return right(tasks, **more)

    monkeypatch.setattr(fit, "run", greedy)
    fitter = stages.Fitter(asked)
    results = fitter.fit(loaded)
    assert sizes == [6, 3, 1, 1, 1, 3]
    assert fitter.most == 3
    alone = right([onejob.task(loaded[0], asked)])[0]
    assert results[0].job == alone.job and results[0].chi2 == alone.chi2
    failed = {
        job.label: result
        for job, result in zip(entries.find(asked), results, strict=True)
        if isinstance(result, Failure)
    }
    assert list(failed) == ["b.feedme", "d.feedme", "g.feedme"]
    assert failed["d.feedme"].message.startswith("ValueError: bad luck (a bug, at test_survey.py:")


def found(folder, monkeypatch, *words):
    monkeypatch.chdir(folder)
    return [(entry.menu, entry.label, str(entry.folder)) for entry in entries.find(parse([*words]))]


def test_menus_of_directories_and_lists(jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(jobs, tmp_path / "jobs")
    (folder / "one" / "other.txt").write_text("")
    (tmp_path / "list.txt").write_text("# first\n\njobs/two\n  jobs/one/galfit.feedme\njobs/nosuch\n")
    assert found(tmp_path, monkeypatch, "jobs/one", "jobs/two", "jobs/one/galfit.feedme") == [
        ("jobs/one/galfit.feedme", "galfit.feedme", "jobs/one"),
        ("jobs/two/deep/galfit.feedme", "galfit.feedme", "jobs/two/deep"),
    ]
    assert [menu for menu, *_ in found(folder, monkeypatch, "@../list.txt")] == [
        "../jobs/two/deep/galfit.feedme", "../jobs/one/galfit.feedme", "../jobs/nosuch",
    ]  # fmt: skip
    assert [menu for menu, *_ in found(folder, monkeypatch, "one", "--glob", "*.txt")] == ["one/other.txt"]
    assert found(folder, monkeypatch, "one", "--cwd", "here") == [("one/galfit.feedme", "one/galfit.feedme", ".")]
    assert found(folder, monkeypatch, "one/galfit.feedme", "--catalog", "c.fits")[0][2] == "."


@pytest.mark.parametrize("words", ["one --glob *.nope", "@nosuch.txt", "@empty.txt", "nosuch @empty.txt"])
def test_nothing_to_do_is_one_line(jobs, tmp_path, monkeypatch, capfd, words):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(jobs / "one", "one")
    Path("empty.txt").write_text("# nothing\n")
    assert main(words.split()) == 2
    assert capfd.readouterr().err.count("\n") == 1
    assert not Path("galfeed.journal").exists()


def test_a_single_menu_in_its_own_folder(jobs, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(jobs / "one", "one")
    assert main(["--cwd", "menu", "one/galfit.feedme", "-o1"]) == 0
    assert Path("one/galfit.out.fits").exists()
    assert "Init. par. file" not in capfd.readouterr().err


def test_check_looks_into_directories(jobs, monkeypatch, capfd):
    monkeypatch.chdir(jobs)
    assert main(["check", "shared", "one"]) == 1
    out, err = capfd.readouterr()
    assert "shared/b.feedme:2" in out
    assert err.startswith("9 menus: 2 cannot run, ")


@pytest.mark.skipif(devices.count() > 0, reason="there is a CUDA device")
@pytest.mark.parametrize("words", ["one --device cuda", "one/galfit.feedme --device cuda:1"])
def test_a_device_that_is_not_there_is_one_line(jobs, tmp_path, monkeypatch, capfd, words):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(jobs / "one", "one")
    before = tree(tmp_path)
    assert main(words.split()) == 2
    out, err = capfd.readouterr()
    assert not out and err.count("\n") == 1 and "expected --device cpu" in err
    assert tree(tmp_path) == before
    assert devices.choose("auto") == devices.choose("cpu") == ("cpu",)


def test_a_catalogue_that_does_not_fit_on_the_disk_is_named(jobs, tmp_path):
    folder = shutil.copytree(jobs / "one", tmp_path / "one")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    words = (".", "-o1", "--outputs", "none", "--catalog", "c.fits")
    ran = galfeed(folder, *words, preexec_fn=limit)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == "c.fits: cannot be written: file too large"
    assert "1 job in" in ran.stderr and not (folder / "c.fits").exists()
    assert galfeed(folder, *words, "--resume").returncode == 0
    assert len(Table.read(folder / "c.fits")) == 1


def no_override():
    """Even root may write only where the permissions say so, from the next program on (Linux's prctl.h)."""
    drop, override = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(drop, override) != 0:
        raise OSError("this root cannot give up a right")


@pytest.mark.skipif(sys.platform != "linux", reason="permissions are dropped as Linux does")
def test_a_folder_that_cannot_be_written_to_is_named(jobs, tmp_path):
    folder = shutil.copytree(jobs, tmp_path / "jobs", ignore=shutil.ignore_patterns("shared"))
    (folder / "one").chmod(0o555)
    ran = galfeed(folder, ".", "-o1", preexec_fn=no_override)
    (folder / "one").chmod(0o755)
    assert ran.returncode == 1
    assert ran.stderr.startswith("one/galfit.feedme: galfit.out.fits: cannot be written: no permission")
    assert (folder / "two" / "deep" / "galfit.out.fits").exists()


# --- what is said ---


def test_the_line_of_progress():
    assert report.progress(0, 8, 0, 1.0).startswith("[                    ] 0 of 8 jobs, 0.0/s")
    assert report.progress(4, 8, 1, 8.0) == "[##########          ] 4 of 8 jobs, 0.5/s, 0:08 left, 1 failed"
    assert report.progress(1, 7201, 0, 1.0).endswith(", 1.0/s, 2:00:00 left")


def test_progress_is_shown_on_a_terminal_only(jobs, tmp_path):
    folder = shutil.copytree(jobs / "one", tmp_path / "one")
    ours, theirs = pty.openpty()
    ran = subprocess.Popen([*COMMAND, ".", "-o1"], cwd=folder, env=environment(), stderr=theirs)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the terminal is closed
        while part := os.read(ours, 4096):
            said += part
    os.close(ours)
    assert ran.wait() == 0
    assert b"\r[" in said and said.split(b"\r")[-2].startswith(b"1 job in ")


# --- the catalogue ---


def row(menu, **numbers):
    plain = dict.fromkeys(rows.PLAIN) | {"menu": menu, "status": "converged", "exit_code": 0, "doubtful": False}
    return plain | {"chi2": 1.5, "ndof": 10, "chi2nu": 0.15, "values": numbers}


ROWS = [
    row(
        "a", **{"1_XC": Number(1.25, 0.5, 0.75, "free", True, "pix"), "2_SKY": Number(3, None, None, "fixed", 0, "ADU")}
    ),
    row("caf\xe9", **{"10_XC": Number(None, None, None, "tied", False, "pix")}) | {"ndof": None, "chi2": None},
]


@pytest.mark.parametrize("name", ["c.fits", "c.ecsv", "c.csv"])
def test_formats_of_the_catalogue(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    catalog.check(name)
    catalog.write(name, ROWS)
    table = Table.read(name)
    words = [word for word in table.colnames if word[0].isdigit()]
    assert words[::5] == ["1_XC", "2_SKY", "10_XC"]
    assert table["1_XC"][0] == 1.25 and table["1_XC_STDERR"][0] == 0.75
    assert str(table["1_XC_SUSPECT"][0]) == "True"
    assert np.isnan(np.ma.filled(table["1_XC"], np.nan)[1]) and np.ma.is_masked(table["ndof"][1])
    if name != "c.csv":
        assert table["1_XC"].unit == "pix" and table["2_SKY"].unit == "adu"
    assert table["menu"][1] == r"caf\xe9"


def test_a_catalogue_in_parquet(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    catalog.write("c.parquet", ROWS)
    made = parquet.read_table("c.parquet")
    assert made.column_names == catalog.table(ROWS).colnames
    found = made.to_pydict()
    assert found["1_XC"][0] == 1.25 and math.isnan(found["1_XC"][1])
    assert found["menu"] == ["a", r"caf\xe9"] and found["1_XC_SUSPECT"] == [True, False]
    assert found["ndof"] == [10, None]
    assert made.schema.field("1_XC_ERR").metadata == {b"unit": b"pix"} and made.schema.field("chi2").metadata is None
    assert made.schema.metadata == {b"PROGRAM": f"galfeed {galfeed_version}".encode()}
    catalog.write("none.parquet", [])
    assert parquet.read_table("none.parquet").column_names[0] == "menu"


def test_a_catalogue_that_cannot_be_written_is_seen_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name, expected in {
        "c.parquet": r"pip install 'galfeed\[parquet\]'",
        "c.txt": ".ecsv",
        "no/c.csv": "no folder",
    }.items():
        with pytest.raises(GalfeedError, match=expected):
            catalog.check(name)


def test_an_empty_catalogue_has_its_columns():
    assert len(catalog.table(rows.failed(entries.Entry(0, "a", "a", Path()), 2, "no") for _ in range(0))) == 0
    assert math.isnan(catalog.table([rows.failed(entries.Entry(0, "a", "a", Path()), 2, "no")])["chi2"][0])
