"""What is done for an accelerator, without one: tensors that have no numbers show where a host would wait for them."""

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
import torch
from simulate import component, job, noisy, star
from torch.utils._python_dispatch import TorchDispatchMode

from galfeed import fit
from galfeed.fit import params
from galfeed.fit.equations import Asked, Equations
from galfeed.fit.problem import Problem
from galfeed.model import host

NOWHERE = torch.device("meta")
"""Device of tensors that have a shape and no numbers: whoever asks for one gets an error."""

BOX = (30, 28)
SCENES = {
    "sersic": [component(1, "sersic"), component(2, "sky")],
    "ellipses and a star": [
        component(1, "sersic", re=0.8, xc=12.2),
        component(2, "expdisk"),
        component(3, "devauc", q=0.9),
        component(4, "gaussian"),
        component(5, "psf"),
        component(6, "sky"),
    ],
    "off the middle": [component(1, "sersic", xc=3.0), component(2, "sky")],
}


class Seen(TorchDispatchMode):
    """What torch is asked to do with tensors that have no numbers and others in the memory of the host."""

    def __init__(self):
        super().__init__()
        self.carried = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        made = function(*arguments, **(options or {}))
        tensors = [t for t in flat([arguments, options or {}, made]) if t.ndim]
        if len({t.device.type for t in tensors}) > 1 or "lift_fresh" in str(function):
            self.carried.append(str(function))
        return made


class Waits(TorchDispatchMode):
    """Counts what a host waits for: numbers, and how many places a mask has."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        name = str(function)
        places = arguments[1] if name.startswith(("aten.index.", "aten.index_put")) else ()
        by_mask = any(place is not None and place.dtype is torch.bool for place in places)
        self.count += by_mask or any(word in name for word in ("nonzero", "local_scalar", "unique", "masked_select"))
        return function(*arguments, **(options or {}))


def flat(found):
    """All tensors among what is given to torch."""
    if isinstance(found, torch.Tensor):
        return [found]
    items = found.values() if isinstance(found, dict) else found if isinstance(found, list | tuple) else ()
    return [tensor for item in items for tensor in flat(item)]


def nowhere(found):
    """The same with tensors that have no numbers."""
    if isinstance(found, torch.Tensor):
        return found.to(NOWHERE)
    if is_dataclass(found) and not isinstance(found, type):
        own = {f.name: nowhere(getattr(found, f.name)) for f in fields(found) if f.init}
        return replace(found, **own)
    if isinstance(found, Mapping):
        return {name: nowhere(item) for name, item in found.items()}
    if isinstance(found, tuple):
        items = [nowhere(item) for item in found]
        return type(found)(*items) if hasattr(found, "_fields") else tuple(items)
    return found


@contextmanager
def accelerator(monkeypatch):
    """The CPU does all as an accelerator would; gives what the host has asked it for."""
    answers, known = [], host.known

    def asked(tables):
        answers.append(known(tables))
        return answers[-1]

    with monkeypatch.context() as patch:
        patch.setattr(host, "is_cpu", lambda place: False)
        patch.setattr(host, "known", asked)
        yield answers


def problem(kind, dtype="mixed"):
    """Some jobs of a kind; the objects of some of them are off the middle of the image."""
    own = job(*SCENES[kind], box=BOX)
    exposures = [noisy(own, noise=0.5, seed=seed, psf=star()) for seed in range(5)]
    made = Problem([fit.Task(own, e) for e in exposures], torch.device("cpu"), dtype, 3)
    made.scene.start[1::2, 0] += 5.3
    return made, params.build(made.scene, made.jobs, [()] * 5, logarithms=False)


def asked(own):
    rows = torch.arange(len(own.start))
    values, slopes = own.values(own.unknowns(own.start), rows)
    return Asked.all(values, slopes, rows)


@pytest.mark.parametrize("derivatives", ["galfit", "true"])
@pytest.mark.parametrize("kind", SCENES)
def test_an_accelerator_is_asked_once_an_evaluation_and_given_nothing(kind, derivatives, monkeypatch):
    made, own = problem(kind)
    equations, wanted = made.equations, asked(own)
    with accelerator(monkeypatch) as answers:
        equations.of(wanted, own.moving, derivatives)
    assert len(answers) == 1
    there = Equations(nowhere(equations.scene), nowhere(equations.data), nowhere(equations.root), equations.tile)
    monkeypatch.setattr(host, "known", lambda tables: answers[0])
    monkeypatch.setattr(
        host, "given", lambda numbers, like: torch.zeros(len(numbers), dtype=torch.long, device=NOWHERE)
    )
    wanted = nowhere(wanted)
    there.of(wanted, own.moving, derivatives)  # makes the constants
    with Seen() as seen:
        found = there.of(wanted, own.moving, derivatives)
    assert seen.carried == []
    assert found.normal.matrix.shape == (5, len(own.free), len(own.free))


@pytest.mark.parametrize("dtype", ["float64", "mixed"])
@pytest.mark.parametrize("derivatives", ["galfit", "true"])
@pytest.mark.parametrize("kind", SCENES)
def test_the_way_of_an_accelerator_gives_the_same_equations(kind, derivatives, dtype, monkeypatch):
    made, own = problem(kind, dtype)
    expected = made.equations.of(asked(own), own.moving, derivatives).normal
    with accelerator(monkeypatch):
        found = made.equations.of(asked(own), own.moving, derivatives).normal
    scale = expected.matrix.diagonal(dim1=1, dim2=2).sqrt()
    torch.testing.assert_close(found.chi2, expected.chi2, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.gradient / scale, expected.gradient / scale, rtol=0, atol=1e-8)
    by = scale[:, :, None] * scale[:, None, :]
    torch.testing.assert_close(found.matrix / by, expected.matrix / by, rtol=0, atol=1e-8)


def test_an_iteration_waits_for_who_is_left_and_for_how_much_there_is_to_draw(monkeypatch):
    own = job(*SCENES["sersic"], box=BOX)
    far = job(component(1, "sersic", re=2.0, mag=19.0, n=1.0), component(2, "sky"), box=BOX)
    tasks = [fit.Task(far, noisy(own, noise=0.5, seed=seed, psf=star())) for seed in range(3)]
    counts = []
    for iterations in (2, 3, 4):
        with accelerator(monkeypatch) as answers, Waits() as waits:
            fit.run(tasks, max_iterations=iterations)
        counts.append((waits.count, len(answers)))
    assert np.diff(counts, axis=0).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("shape", [(7,), (3, 5), (4, 3, 6), (2, 0)])
def test_where_a_mask_is_true(shape, monkeypatch):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(len(shape))) > 0.6
    expected = torch.nonzero(mask, as_tuple=True)
    monkeypatch.setattr(host, "is_cpu", lambda place: False)
    found = host.where_true(mask, int(mask.sum()))
    assert all(torch.equal(*both) for both in zip(found, expected, strict=True))


def test_tables_are_known_as_they_are():
    tables = [torch.arange(6).reshape(2, 3), torch.zeros(4, 0, dtype=torch.long), torch.tensor([[7]])]
    for found, table in zip(host.known(tables), tables, strict=True):
        np.testing.assert_array_equal(found, table.numpy())
    assert host.known([]) == []


def test_what_is_given_is_there():
    own = np.array([3, 1, 2])
    assert host.given(own, torch.zeros(2)).tolist() == [3, 1, 2]
    assert host.given(own, torch.zeros(2, device=NOWHERE)).device == NOWHERE
