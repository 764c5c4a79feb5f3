"""Where images are made: every tensor of a fit on its device, on a GPU the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from simulate import component, job, noisy, star, truncation
from torch.overrides import TorchFunctionMode

from galfeed import fit
from galfeed.fit.equations import Equations
from galfeed.model import host
from galfeed.result import Status

FACTORIES = {
    getattr(torch, name)
    for name in ("arange", "zeros", "ones", "empty", "full", "tensor", "as_tensor", "eye", "linspace", "from_numpy")
}
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


class Placed(TorchFunctionMode):
    """Every new tensor says where it is made."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        options = options or {}
        if function in FACTORIES:
            assert options.get("device") is not None, (function.__name__, arguments)
        return function(*arguments, **options)


def tasks(kind):
    """Three jobs of a kind with noise."""
    hidden = {"fourier": (1,), "bending": (2,)}
    components = {
        "sersic": [component(1, "sersic"), component(2, "sky")],
        "small": [component(1, "sersic", re=0.8, xc=12.2), component(2, "expdisk", rs=0.4), component(3, "sky")],
        "star": [component(1, "psf"), component(2, "gaussian"), component(3, "moffat"), component(4, "sky")],
        "hidden": [component(1, "sersic", c0=True, hidden=hidden, free=("xc", "yc", "mag", "f1_amp", "b2", "c0"))],
        "cut": [component(1, "sersic", inner=(2,)), truncation(2, "radial", free=("rbrk",)), component(3, "sky")],
    }[kind]
    own = job(*components, box=(30, 28))
    found = []
    for seed in range(3):
        made = noisy(own, noise=0.5, seed=seed, psf=star())
        found.append(fit.Task(own, made))
    return found


KINDS = ("sersic", "small", "star", "hidden", "cut")


def pulls(found, expected):
    """Largest difference of values in error bars, over all free numbers."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        for ref in other.free:
            number = other.job.parameter(ref)
            worst = max(worst, abs(one.job.parameter(ref).value - number.value) / number.error)
    return worst


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_is_the_same_to_the_last_bit_alone_and_in_a_batch(kind):
    together = tasks(kind)
    broken = replace(together[1].exposure, data=np.full_like(together[1].exposure.data, np.nan))
    together[1] = replace(together[1], exposure=broken)
    results = fit.run(together)
    assert results[1].status is Status.NONFINITE
    for row in (0, 2):
        (alone,) = fit.run([together[row]])
        assert alone.job == results[row].job
        assert (alone.chi2, alone.iterations, alone.status) == (
            results[row].chi2,
            results[row].iterations,
            results[row].status,
        )
        assert np.array_equal(alone.covariance, results[row].covariance)
        assert np.array_equal(alone.model, results[row].model)


@pytest.mark.parametrize("kind", KINDS)
def test_partials_in_single_precision_lead_to_the_same_result(kind):
    made = tasks(kind)
    assert pulls(fit.run(made, dtype="mixed"), fit.run(made, dtype="float64")) < 3e-3


def test_images_in_single_precision():
    made = tasks("sersic")
    assert pulls(fit.run(made, dtype="float32"), fit.run(made, dtype="float64")) < 0.05


@pytest.mark.parametrize("dtype", ["float64", "mixed"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_way_of_an_accelerator_leads_to_the_same_result(kind, dtype, monkeypatch):
    made = tasks(kind)
    expected = fit.run(made)
    monkeypatch.setattr(host, "is_cpu", lambda place: False)
    assert pulls(fit.run(made, dtype=dtype), expected) < 3e-3


@gpu
@pytest.mark.parametrize("dtype", ["float64", "mixed", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_gives_the_same_result(kind, dtype):
    made = tasks(kind)
    limit = 0.05 if dtype == "float32" else 3e-3
    assert pulls(fit.run(made, device="cuda", dtype=dtype), fit.run(made)) < limit


@gpu
def test_a_gpu_draws_models_too():
    for mode in (fit.MODEL, fit.BLOCK, fit.SUBCOMPONENTS):
        made = [replace(task, mode=mode) for task in tasks("cut")]
        for one, other in zip(fit.run(made, device="cuda"), fit.run(made), strict=True):
            np.testing.assert_allclose(one.model, other.model, rtol=1e-10)


def test_too_little_memory_halves_what_is_drawn_at_once(monkeypatch):
    """Every try with more than one image fails as if the memory were full."""
    expected = fit.run(tasks("sersic"))
    whole = Equations._tile
    sizes = []

    def tile(self, asked, *others):
        sizes.append(len(asked.rows))
        if len(asked.rows) > 1:
            raise torch.cuda.OutOfMemoryError("full")
        return whole(self, asked, *others)

    monkeypatch.setattr(Equations, "_tile", tile)
    assert pulls(fit.run(tasks("sersic")), expected) == 0
    assert max(sizes) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_of_a_fit_is_made_on_its_device(kind):
    made = tasks(kind)
    with Placed():
        fit.run(made, max_iterations=4)
