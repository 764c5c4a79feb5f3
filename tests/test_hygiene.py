"""GALFIT's canonical numbers, and kappa(n)."""

import pytest
import torch
from simulate import component, job, truncation

from galfeed.model.hygiene import canonical, clamp_sizes, with_near_phases, wrapped
from galfeed.profiles._kappa import kappa


@pytest.mark.parametrize(
    ("angle", "expected"),
    [(30.0, 30.0), (400.0, 40.0), (91.0, -89.0), (-91.0, 89.0), (180.0, 0.0), (-270.0, 90.0), (90.0, 90.0)],
)
def test_angles_come_within_90_degrees(angle, expected):
    assert abs(wrapped(angle)) <= 90
    assert (wrapped(angle) - expected) % 180 == pytest.approx(0)


def test_an_axis_ratio_above_one_is_inverted_and_size_and_angle_turned():
    slots = canonical(job(component(1, "sersic", q=2.0, re=5.0, pa=10.0))).components[0]
    assert [slots.parameter(k).value for k in ("4", "9", "10")] == [10.0, 0.5, -80.0]


@pytest.mark.parametrize("q", [0.0, -0.3, 0.004])
def test_an_axis_ratio_that_is_too_small_becomes_a_hundredth(q):
    assert canonical(job(component(1, "sersic", q=q))).components[0].parameter("9").value == 0.01


def test_negative_sizes_become_the_smallest_and_zero_stays():
    sizes = [clamp_sizes(job(component(1, "sersic", re=r))).components[0].parameter("4").value for r in (-3.0, 0.0)]
    assert sizes == [0.01, 0.0]


def test_other_components_are_left_alone():
    own = job(component(1, "sky"), component(2, "psf"))
    assert canonical(own) == own


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0.05, 0.000815),
        (0.1, 0.020765),
        (0.5, 0.693126),
        (1.0, 1.678347),
        (4.0, 7.669254),
        (5.0, 9.668901),
        (20.0, 39.656898),
    ],
)
def test_kappa_is_that_of_galfit(n, expected):
    assert float(kappa(torch.tensor(n, dtype=torch.float64))) == pytest.approx(expected, abs=5e-6)


def test_kappa_is_finite_for_whatever_a_step_may_bring():
    n = torch.tensor([-5.0, 0.0, 1e-300, 1e300], dtype=torch.float64, requires_grad=True)
    value = kappa(n)
    value[:3].sum().backward()
    assert bool(value[:3].isfinite().all() and n.grad.isfinite().all())


def test_a_component_with_fourier_modes_has_a_front_and_a_back():
    lopsided = component(1, "sersic", q=2.0, re=5.0, pa=20.0, hidden={"fourier": (1,)})
    (made,) = canonical(job(lopsided)).components
    assert [made.parameter(k).value for k in ("4", "9", "10")] == [10.0, 0.5, 110.0]
    (turned,) = canonical(job(component(1, "sersic", pa=-200.0, hidden={"fourier": (2,)}))).components
    assert turned.parameter("10").value == 160.0


def test_phases_are_wrapped_by_their_mode():
    own = component(1, "sersic", hidden={"fourier": (1, 3)}, f1_phase=-190.0, f3_phase=100.0)
    (made,) = with_near_phases(job(own)).components
    assert [made.parameter(k).value for k in ("f1p", "f3p")] == [170.0, -20.0]
    (kept,) = canonical(job(own)).components
    assert kept.parameter("f3p").value == 100.0


def test_the_ellipse_of_a_truncation_is_canonical_too():
    block = truncation(2, "radial", ellipse=True, rbrk=5.0, q=2.0, pa=20.0)
    _, made = canonical(job(component(1, "sersic", outer=(2,)), block)).components
    assert [made.parameter(k).value for k in ("4", "9", "10")] == [10.0, 0.5, -70.0]
