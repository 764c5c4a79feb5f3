"""Light of plain ellipses within a square around them, by one product rule: no pixels, and few points.

In coordinates along and across the major axis, those across divided by q, the light is round and the square a
parallelogram.  With D the distance of one of its sides from the centre and w the asinh of the place on the side over D,
the light between centre and side is q int dw F(D cosh w) / cosh w, where F(R) = int_0^R f(r) r dr.  The radius goes as
s^4, which makes cusps smooth.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from galfeed.model.light import Light

CUSP_POWER = 4  # radius s^4
NODES, CHECK = 28, 20  # along each side, and along the radius
CORNERS = ((1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0))  # counter-clockwise


def applies(light: Light) -> bool:
    """Whether a component is an ellipse without hidden parameters, truncation or edge."""
    profile, shape = light.profile, light.shape
    hidden = shape.rotation or shape.bending or shape.c0 or shape.fourier or light.truncations
    return profile.kind == "radial" and not profile.edge and not hidden


def light_within(
    light: Light, values: Mapping[str, Tensor], scale: Mapping[str, Tensor], x: Tensor, y: Tensor, half: float
) -> tuple[Tensor, Tensor]:
    """Light (B,) in ADU within squares around the centres of ellipses, and how far two rules differ, relative to it.

    Args:
        light: what :func:`applies` to.
        values: (B,) its parameters; q > 0.
        scale: as for ``Light.amplitude``.
        x, y: (B,) centres of the squares, which hold the centres of the ellipses.
        half: half the length of their sides, pixels.
    """
    p = {**values, **light.derived(values)}
    corners = []
    for across, along in CORNERS:
        dx, dy = x + across * half - values["xc"], y + along * half - values["yc"]
        major, minor = light.shape.axes(dx, dy, p)
        corners.append(torch.stack([major, minor / values["q"]]))
    start = torch.stack(corners, dim=2)  # (2, B, 4)
    stop = start.roll(-1, dims=2)
    side = stop - start
    side = side / side.norm(dim=0)
    distance = start[0] * side[1] - start[1] * side[0]
    first, last = (((corner * side).sum(0) / distance).asinh() for corner in (start, stop))
    factor = light.amplitude(values, p, scale) * values["q"]
    best, other = (factor * _rule(light, p, distance, first, last, nodes) for nodes in (NODES, CHECK))
    return best, (best / other - 1).abs()


def _rule(light: Light, p: Mapping[str, Tensor], distance: Tensor, start: Tensor, stop: Tensor, nodes: int) -> Tensor:
    """Intensity (B,) added up between the centre and all sides (B, 4), by ``nodes`` x ``nodes`` points for each."""
    node, weight = (distance.new_tensor(numbers) for numbers in np.polynomial.legendre.leggauss(nodes))
    node, weight = (node + 1) / 2, weight / 2
    w = start[..., None] + (stop - start)[..., None] * node
    reach = distance[..., None] * w.cosh()
    radius = reach[..., None] * node**CUSP_POWER
    numbers = {name: number[:, None, None, None] for name, number in p.items()}
    radial = CUSP_POWER * node ** (2 * CUSP_POWER - 1) * weight
    enclosed = reach**2 * (light.intensity((radius,), numbers) @ radial)
    return ((stop - start)[..., None] * weight * enclosed / w.cosh()).sum((1, 2))
