"""chi^2 of a batch of images and its normal equations, of as many at a time as the memory holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from typing import NamedTuple

import torch
from torch import Tensor

from galfeed.fit.couplings import product
from galfeed.fit.lm import Normal
from galfeed.model import host
from galfeed.model.frame import Partials, Sketch, steps
from galfeed.model.scene import Rendered, Scene
from galfeed.model.shape import Derivatives

SINGLE = 2.0**-24  # relative precision of the images that GALFIT computes and writes
TILES_UNDER_WAY = 4
TILES = {"cpu": 2**20, "cuda": 2**25}  # pixels of the images that are evaluated together


class Asked(NamedTuple):
    """What is to be evaluated.

    Args:
        values: (b, V) numbers of the scene.
        slopes: (b, moving, P) of its moving numbers by the unknowns.
        rows: (b,) of the batch.
        below: (b,) no equations are needed where chi^2 is not below this; they are 0 then.
        close: (b,) the matrix of the true derivatives is wanted too where chi^2 is less than this below ``below``.
    """

    values: Tensor
    slopes: Tensor
    rows: Tensor
    below: Tensor
    close: Tensor

    @classmethod
    def all(cls, values: Tensor, slopes: Tensor, rows: Tensor, *, partials: bool = True) -> Asked:
        """All equations, or none but chi^2."""
        limit = values.new_full((len(rows),), math.inf if partials else -math.inf)
        return cls(values, slopes, rows, limit, torch.zeros_like(limit))


class Found(NamedTuple):
    """Of b problems with P unknowns.

    Unknowns whose effect is below the single precision of the image have none: 0 in the equations.

    Args:
        normal: the equations.
        floor: (b,) that threshold, in the units of the matrix.
        true: (b, P, P) the matrix of the true derivatives where it was wanted and comes at no great cost, else nan.
    """

    normal: Normal
    floor: Tensor
    true: Tensor


Show = Callable[[Asked, Tensor, Tensor], None]
"""Given what was asked for, its chi^2 (b,) and the images (b, H, W) that are shown, some of them at a time."""


class Equations:
    """The data of a batch and the model that is compared with them.

    Args:
        scene: the model.
        data: (B, H, W) images.
        root: (B, H, W) roots of their weights.
        together: how many images are evaluated at once; by default as many as suit the device.
    """

    def __init__(self, scene: Scene, data: Tensor, root: Tensor, together: int | None = None) -> None:
        self.scene, self.data, self.root = scene, data, root
        usual = TILES.get(data.device.type, TILES["cuda"]) // math.prod(scene.frame.shape)
        self.tile = together or max(1, usual)
        self.careful = False

    @property
    def room(self) -> int:
        """How many problems are well under way at once: more do not make an iteration cheaper for each."""
        return TILES_UNDER_WAY * self.tile

    @property
    def precise(self) -> Equations:
        """The same with all images in double precision, for where partial images are almost alike.

        These are put together before they are multiplied with each other: where large planes almost cancel, the
        products of planes do not say how much is left.
        """
        fine = copy(self)
        fine.scene, fine.careful = self.scene.with_partials(torch.float64), True
        return fine

    @property
    def quick(self) -> bool:
        """Whether there is a quicker way: to draw images like their partial images, and at once with these.

        Not on an accelerator, where it would cost more to tell problems from each other.
        """
        return host.is_cpu(self.data) and self.scene.plain and self.scene.frame.partials == torch.float32

    def of(
        self,
        asked: Asked,
        moving: Sequence[int],
        derivatives: Derivatives,
        show: Show | None = None,
        *,
        roughly: bool = False,
    ) -> Found:
        """chi^2 and the equations.

        Args:
            moving: columns of the numbers that change with the unknowns.
            derivatives: how to differentiate.
            show: given the images.
            roughly: with images that are no more accurate than their partial images.

        Raises:
            torch.cuda.OutOfMemoryError: not even the images of one problem fit into the device's memory.
        """
        tiles = [Asked(*tile) for tile in zip(*(t.split(self.tile) for t in asked), strict=True)]
        try:
            results: list[Found] = []
            for some in [[tile] for tile in tiles] if host.is_cpu(self.data) else [tiles]:
                sketches = [self._sketch(tile, moving, derivatives, roughly) for tile in some]
                told = host.known([sketch.asks for sketch in sketches])
                tiled = zip(some, sketches, told, strict=True)
                results += [self._tile(t, sketch.draw(counts), moving, show, roughly) for t, sketch, counts in tiled]
        except torch.cuda.OutOfMemoryError:
            if self.tile == 1:
                raise
            self.tile //= 2
            return self.of(asked, moving, derivatives, show, roughly=roughly)
        normals, floors, true = zip(*results, strict=True)
        return Found(Normal(*(torch.cat(p) for p in zip(*normals, strict=True))), torch.cat(floors), torch.cat(true))

    def _sketch(self, asked: Asked, moving: Sequence[int], derivatives: Derivatives, roughly: bool) -> Sketch[Rendered]:
        return self.scene.sketch(asked.values, moving, rows=asked.rows, derivatives=derivatives, roughly=roughly)

    def _tile(self, asked: Asked, drawn: Rendered, moving: Sequence[int], show: Show | None, roughly: bool) -> Found:
        """:meth:`of` as many rows as are evaluated together."""
        rows, slopes = asked.rows, asked.slopes
        chi2, floor = torch.empty_like(asked.below), torch.empty_like(asked.below)
        residual = torch.empty_like(self.data[: len(rows)])
        for some in steps(rows):
            image, root = drawn.image[some], self.root.index_select(0, rows[some])
            torch.sub(self.data.index_select(0, rows[some]), image, out=residual[some]).mul_(root)
            chi2[some] = residual[some].square().flatten(1).sum(1)
            floor[some] = (root * image).square_().flatten(1).sum(1).mul_(SINGLE**2)
        if show is not None:
            show(asked, chi2, self.scene.shown(drawn))
        unknowns = slopes.shape[2]
        gradient, matrix = slopes.new_zeros(len(rows), unknowns), slopes.new_zeros(len(rows), unknowns, unknowns)
        true = torch.full_like(matrix, math.nan)
        close = chi2 > asked.below - asked.close
        for both, places in [(False, None)] if roughly else self._of_interest(chi2 < asked.below, close):
            if not moving:
                break
            found, own = drawn.partials(places, both), slice(None) if places is None else places
            by = product(found.slopes, slopes[own])
            if self.careful:
                gradient[own], matrix[own] = self._moments(found, residual, rows, places, by)
                continue
            moments, products = self._moments(found, residual, rows, places)
            gradient[own] = (moments[:, :, None] * by).sum(1)
            matrix[own] = product(by.mT, product(products, by))
            if both and found.true is not None:
                by = product(found.true, slopes[own])
                true[own] = product(by.mT, product(products, by))
        seen, seen_truly = (m.diagonal(dim1=1, dim2=2) > floor[:, None] for m in (matrix, true.nan_to_num()))
        true = true * seen_truly[:, :, None] * seen_truly[:, None, :]
        normal = Normal(chi2, gradient * seen, matrix * seen[:, :, None] * seen[:, None, :])
        return Found(normal, floor, true)

    @staticmethod
    def _of_interest(wanted: Tensor, close: Tensor) -> list[tuple[bool, Tensor | None]]:
        """Rows whose equations are needed, or None for all, and whether with true derivatives.

        To ask an accelerator for some of them costs it more than to compute all.
        """
        if not host.is_cpu(wanted):
            return [(False, None)]
        kinds = ((both, torch.nonzero(wanted & (close == both))[:, 0]) for both in (False, True))
        return [(both, places if len(places) < len(wanted) else None) for both, places in kinds if len(places)]

    def _moments(
        self,
        found: Partials,
        residual: Tensor,
        rows: Tensor,
        places: Tensor | None,
        by: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Sums of planes times the residual (b, K) and times each other (b, K, K), weighted.

        Args:
            places: (b,) of those that are found among residual and rows; None: all.
            by: (b, K, P) to have those of P sums of planes.
        """
        count = found.slopes.shape[1] if by is None else by.shape[2]
        products = found.slopes.new_empty(len(found.slopes), count + 1, count + 1)
        for some, planes in zip(steps(found.slopes), found.planes, strict=True):
            at = some if places is None else places[some]
            weighted = self._weighted(planes, self.root.index_select(0, rows[at]), residual[at])
            if by is not None:
                parts = (weight[:, :, None] * weighted[:, :-1] for weight in by[some].unbind(2))
                sums = [part.sum(1) for part in parts]  # a BLAS would round by place
                weighted = torch.stack([*sums, weighted[:, -1]], 1)
            products[some] = weighted @ weighted.mT
        return products[:, :-1, -1], products[:, :-1, :-1]

    @staticmethod
    def _weighted(planes: Sequence[Tensor], root: Tensor, residual: Tensor) -> Tensor:
        """Planes (b, H, W) times the root of the weight, then the residual, (b, K + 1, H W) up to whole cache lines."""
        (batch, height, width), pixels = root.shape, root[0].numel()
        weighted = root.new_empty(batch, len(planes) + 1, -(-pixels // 8) * 8)
        weighted[..., pixels:] = 0.0
        images = weighted[..., :pixels].unflatten(2, (height, width))
        for place, plane in enumerate(planes):
            images[:, place] = plane
        images[:, :-1] *= root[:, None]
        images[:, -1] = residual
        return weighted
