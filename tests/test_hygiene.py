"""GALFIT's canonical numbers, and kappa(n)."""

import pytest
import torch
from simulate import component, job, truncation

from galfeed import feedme
from galfeed.job import Parameter
from galfeed.model.hygiene import canonical, clamp_sizes, position_angle, with_near_phases, wrapped
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


@pytest.mark.parametrize(
    ("angle", "half", "printed"),
    [
        (90.0, 90.0, "-89.9999"),
        (-90.0, 90.0, "89.9999"),
        (270.0, 90.0, "-89.9999"),
        (180.0, 90.0, "0.0000"),
        (-180.0, 90.0, "0.0000"),
        (91.0, 90.0, "-89.0000"),
        (12345.678, 90.0, "-74.3223"),
        (90.0, 180.0, "89.9999"),
        (180.0, 180.0, "-180.0000"),
        (-180.0, 180.0, "180.0000"),
        (540.0, 180.0, "-180.0000"),
        (float("inf"), 90.0, "nan"),
    ],
)
def test_a_position_angle_is_turned_as_galfit_prints_it(angle, half, printed):
    assert f"{position_angle(angle, half):.4f}" == printed


def test_an_inverted_axis_ratio_is_not_below_the_smallest_either():
    slots = canonical(job(component(1, "sersic", q=1e6, re=5.0, pa=0.0))).components[0]
    assert [slots.parameter(k).value for k in ("4", "9", "10")] == [5e6, 0.01, -89.9999]


def test_a_small_axis_ratio_of_a_truncation_stays():
    block = truncation(2, "radial", ellipse=True, rbrk=5.0, q=0.004)
    _, made = canonical(job(component(1, "sersic", outer=(2,)), block)).components
    assert made.parameter("9").value == 0.004


@pytest.mark.parametrize(("q", "pa", "made"), [(1, 2, 0), (0, 2, 0), (1, 1, 1), (2, 2, 2), (2, 0, 0)])
def test_the_angle_of_a_truncation_is_free_with_another_toggle_only_if_its_axis_ratio_has_one(q, pa, made):
    text = f"T0) radial\nT4) 8 0\nT5) 4 0\nT9) 0.8 {q}\nT10) 30 {pa}\n"
    (block,) = canonical(feedme.parse(f"H) 1 9 1 9\n{text}")).components
    assert block.parameter("10").toggle == made


@pytest.mark.parametrize("toggle", [0, 1])
def test_a_king_of_power_0_has_power_2_and_keeps_it(toggle):
    (made,) = canonical(feedme.parse(f"H) 1 9 1 9\n 0) king\n 6) 0 {toggle}\n")).components
    assert made.parameter("6") == Parameter(2.0)


def test_negative_sizes_become_the_smallest_and_others_stay_however_small():
    sizes = [-3.0, 0.0, 1e-9, 0.009]
    made = [clamp_sizes(job(component(1, "sersic", re=r))).components[0].parameter("4").value for r in sizes]
    assert made == [0.01, 0.0, 1e-9, 0.009]


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
