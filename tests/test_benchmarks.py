"""The set that the benchmarks run on, and how two programs' results are compared."""

import csv
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from galfeed import feedme, fit, images
from galfeed.cli import main
from galfeed.job import Parameter, ParamRef
from galfeed.profiles import PROFILES
from galfeed.result import Status

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def _script(name: str) -> ModuleType:
    """A script of benchmarks/, under another name than modules of tests/ have."""
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return module


make_set = _script("make_set")
agree = _script("agree")
simulate = _script("simulate")


@pytest.fixture(scope="module", params=["sersic", "bulgedisk"])
def jobs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    make_set.make(make_set.Set(folder, request.param, 64, 25, 7, False), 3, 1)
    return folder


def _truth(folder: Path) -> list[dict[str, str]]:
    with open(folder / "truth.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_check_finds_nothing_wrong(jobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    menus = [str(jobs / row["menu"]) for row in _truth(jobs)]
    assert len(menus) == 3
    assert main(["check", *menus]) == 0
    assert capsys.readouterr().out == ""


def _tasks(folder: Path) -> list[fit.Task]:
    """The jobs, in exact numbers."""
    tasks = []
    for row in _truth(folder):
        menu = folder / row["menu"]
        job = feedme.load(menu, menu.name)
        tasks.append(fit.Task(job, images.load(job, menu.parent), accuracy="exact"))
    return tasks


def _at_the_truth(task: fit.Task, row: dict[str, str]) -> dict[ParamRef, float]:
    """Values of the free parameters that the data were drawn with."""
    return {
        ParamRef(component.number, spec.key): float(row[f"{component.number}_{spec.header}"])
        for component in task.job.components
        for spec in PROFILES[component.kind].params
        if component.parameter(spec.key).free
    }


def test_the_truth_leaves_nothing_but_noise(jobs: Path) -> None:
    for task, row in zip(_tasks(jobs), _truth(jobs), strict=True):
        truth = {ref: Parameter(value, 1) for ref, value in _at_the_truth(task, row).items()}
        (result,) = fit.run([replace(task, job=task.job.updated(truth), mode=fit.BLOCK)])
        assert abs(result.chi2nu - 1) < 4 * np.sqrt(2 / result.ndof)


def test_fits_give_back_the_truth(tmp_path: Path) -> None:
    make_set.make(make_set.Set(tmp_path, "sersic", 64, 25, 7, False), 3, 1)
    tasks = _tasks(tmp_path)
    for task, row, result in zip(tasks, _truth(tmp_path), fit.run(tasks), strict=True):
        assert result.status is Status.CONVERGED
        truth = _at_the_truth(task, row)
        for ref, error in zip(result.free, result.standard_errors, strict=True):
            delta = result.job.parameter(ref).value - truth[ref]
            assert abs((delta + 90) % 180 - 90 if ref.key == "10" else delta) < 4 * error


def test_a_job_depends_on_seed_and_number_alone(tmp_path: Path) -> None:
    for name, number, flat in ("few", 2, False), ("more", 3, True):
        make_set.make(make_set.Set(tmp_path / name, "sersic", 32, 15, 3, flat), number, 1)
    for name in "image.fits", "sigma.fits":
        assert (tmp_path / "few/000001" / name).read_bytes() == (tmp_path / "more" / f"000001_{name}").read_bytes()
    few, more = (tmp_path / "few/000001/galfit.feedme").read_text(), (tmp_path / "more/000001.feedme").read_text()
    assert few.split("0) sersic")[1] == more.split("0) sersic")[1]
    assert (tmp_path / "few/000000/image.fits").read_bytes() != (tmp_path / "few/000001/image.fits").read_bytes()


def test_menus_of_a_flat_set_name_their_own_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_set.make(make_set.Set(tmp_path, "sersic", 32, 31, 3, True), 2, 1)
    assert main(["check", *(str(tmp_path / row["menu"]) for row in _truth(tmp_path))]) == 0
    assert capsys.readouterr().out == ""
    outputs = {feedme.load(menu, menu.name).control.output for menu in tmp_path.glob("*.feedme")}
    assert outputs == {"000000_imgblock.fits", "000001_imgblock.fits"}


@pytest.mark.parametrize(
    ("n", "closed"),
    [
        (0.5, lambda k: np.exp(-(k**2) / (4 * np.log(2)))),
        (1.0, lambda k: (1 + (k / 1.6783469900166605) ** 2) ** -1.5),
    ],
)
def test_transforms_of_a_gaussian_and_a_disk(n: float, closed: Callable[[np.ndarray], np.ndarray]) -> None:
    z = np.linspace(-1, 1, 501)
    expected = closed(make_set._tabled(z))
    np.testing.assert_allclose(np.polynomial.chebyshev.chebval(z, make_set.transform(n)), expected, atol=1e-6)


@pytest.mark.parametrize(("re", "n", "q"), [(4.0, 0.75, 0.5), (2.5, 6.0, 0.9)])
def test_images_are_those_of_the_slow_renderer(re: float, n: float, q: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """simulate.py integrates in polar coordinates and lights the pixels through Gaussians in closed form."""
    monkeypatch.setattr(simulate, "SIZE", 32)
    ((share, narrow), (_, wide)) = simulate.PSF
    psf = make_set.Psf(narrow, 1.0, 0.0, ((share, 1.0), (1 - share, wide / narrow)))
    expected = simulate.galaxy(16.3, 16.8, re, n, q, 30.0)
    drawn = make_set.Sky(32, psf).image(16.3, 16.8, re, n, q, 30.0)
    assert np.abs(drawn - expected).max() < 1e-4 * expected.max()


def test_chi2_of_two_programs_is_counted_both_ways() -> None:
    theirs = np.full(4, 1000.0)
    ours = theirs * (1 + np.array([2e-4, 1e-5, 0.0, -3e-4]))
    text = agree.compare(["a", "b", "c", "d"], ours, theirs, "exact", 8)
    assert "| above by more than 0.01 % | 1 | 25.00 % |" in text
    assert "| above | 2 | 50.00 % |" in text
    assert "| below | 1 | 25.00 % |" in text
    assert text.index("| a |") < text.index("| b |") and "| c |" not in text


def test_regions_that_differ(tmp_path: Path) -> None:
    make_set.make(make_set.Set(tmp_path, "sersic", 64, 25, 7, False, spread=9), 6, 1)
    shapes = set()
    for row in _truth(tmp_path):
        job = feedme.load(tmp_path / row["menu"], row["menu"])
        exposure = images.load(job, (tmp_path / row["menu"]).parent)
        shapes.add(exposure.shape)
        for low, high in (exposure.region[:2], exposure.region[2:]):
            assert abs((low + high) / 2 - 32.5) <= 0.5
    assert len(shapes) > 3 and all(55 <= length <= 64 for shape in shapes for length in shape)


def test_the_script_for_gpus_runs(tmp_path: Path) -> None:
    """On the CPU: what is measured where there is a GPU must not fail for other reasons."""
    command = [
        sys.executable,
        str(BENCHMARKS / "gpu.py"),
        "--device",
        "cpu",
        "--number",
        "4",
        "--scratch",
        str(tmp_path),
    ]
    command += ["--without", "Tests", "From files to files"]
    run = subprocess.run(command, env=dict(os.environ, OUT=str(tmp_path)), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = (tmp_path / "gpu.md").read_text()
    assert "FAILED" not in found
    parts = found.split("### ")
    fits = next(part for part in parts if part.startswith("Fits"))
    assert fits.count("100.00 %") == 3  # converged, in each precision
    assert any(part.startswith("One round") and "aten::" in part for part in parts)


def test_what_a_gpu_would_be_asked_for_is_counted(tmp_path: Path) -> None:
    make_set.make(make_set.Set(tmp_path, "sersic", 32, 15, 3, False), 3, 1)
    command = [sys.executable, str(BENCHMARKS / "launches.py"), str(tmp_path), "--stand-for", "300"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    images_, operations, megabytes, waits, stand_for, *_ = run.stdout.splitlines()[4].strip("| ").split(" | ")
    assert (images_, waits, stand_for) == ("3", "0", "300")
    assert int(operations) > 100
    # model and partials of 32 x 32 pixels in double precision are the least that is written and read
    assert float(megabytes) > 8 * 32**2 * 8 * 2 / 1e6


def test_jobs_alone_and_together_are_compared(tmp_path: Path) -> None:
    make_set.make(make_set.Set(tmp_path / "set", "sersic", 64, 25, 7, False), 2, 1)
    script = [sys.executable, str(BENCHMARKS / "alone.py"), str(tmp_path / "set")]
    ran = subprocess.run(
        script, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)}
    )
    assert ran.returncode == 0, ran.stderr
    assert "\n2 of 2 the same to the last bit; largest difference 0\n" in ran.stdout


def test_a_difference_between_alone_and_together_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    alone = _script("alone")
    make_set.make(make_set.Set(tmp_path, "sersic", 64, 25, 7, False), 1, 1)
    (one,) = fit.run([alone.task(tmp_path / _truth(tmp_path)[0]["menu"])])
    assert alone.differing(one, one) == [] and alone.apart(one, one) == 0.0
    place = one.free[0]
    parameter = one.job.parameter(place)
    moved = replace(one, job=one.job.updated({place: replace(parameter, value=parameter.value + parameter.error)}))
    assert alone.differing(one, moved) == ["job"] and alone.apart(one, moved) == pytest.approx(1.0)
    off = replace(one, covariance=one.covariance * (1 + 1e-15))
    assert alone.differing(one, off) == ["covariance"] and alone.apart(one, off) == 0.0


def test_a_catalogue_of_many_rows_is_measured(tmp_path: Path) -> None:
    make_set.make(make_set.Set(tmp_path / "set", "sersic", 64, 25, 7, False), 2, 1)
    journal = tmp_path / "journal"
    assert main([str(tmp_path / "set"), "--outputs", "none", "--workers", "1", "--journal", str(journal)]) == 0
    script = [sys.executable, str(BENCHMARKS / "catalogue.py"), str(journal), "--number", "5", "--format", "csv"]
    ran = subprocess.run(
        script, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)}
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("| 5 | csv | ")
