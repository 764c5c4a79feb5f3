"""From jobs of like structure to a model of their images: the sum of their components."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from galfeed.images.exposure import Exposure
from galfeed.job import Component, Job, ParamRef, ParamSpec
from galfeed.model import host, psf, render, shape, truncation
from galfeed.model.ellipse import applies
from galfeed.model.frame import Drawing, Frame, Partials, Picture, Planes, Sketch
from galfeed.model.light import Accuracy, Light
from galfeed.model.shape import Derivatives, Shape
from galfeed.model.truncation import Truncation
from galfeed.profiles import PROFILES, Profile


@dataclass(frozen=True)
class SceneComponent:
    """One component of every job of the batch.

    Args:
        number: in the menu, from 1.
        profile: its function.
        light: the function with shape and truncations; None where it has neither (sky, point sources).
        columns: {name: column of its value in (B, V)}, those of its truncations with their number in front.
        skip: left out of the model image (``Z)`` not 0).
    """

    number: int
    profile: Profile
    light: Light | None
    columns: dict[str, int]
    skip: bool


class Rendered(NamedTuple):
    """Images (b, H, W) of b jobs in ADU.

    Args:
        image: the model.
        parts: each component's by number.
        partials: makes the partial images in the order wanted, of some of the jobs or of all; where possible, those of
            the true derivatives too.
    """

    image: Tensor
    parts: dict[int, Tensor]
    partials: Callable[[Tensor | None, bool], Partials]


@dataclass(frozen=True)
class Scene:
    """A batch of B jobs that have the same components, region size, PSF size and convolution box.

    Args:
        components: in the order of the menu.
        refs, specs: what each of the V columns of values is.
        start: (B, V) values of the menus.
        frame: where they are rendered.
    """

    components: tuple[SceneComponent, ...]
    refs: tuple[ParamRef, ...]
    specs: tuple[ParamSpec, ...]
    start: Tensor
    frame: Frame

    @property
    def derivatives_agree(self) -> bool:
        """Whether GALFIT's way to differentiate is the true one for this scene."""
        if self.frame.accuracy == "exact":
            return True
        lights = [c.light for c in self.components if c.light]
        own_way = any(
            light.profile.cusp or light.profile.galfit or light.shape.rotation or light.shape.bending
            for light in lights
        )
        return self.frame.psf is None and not own_way

    @property
    def plain(self) -> bool:
        """Whether all that has a shape may be drawn as plain ellipses, see :mod:`galfeed.model.plain`."""
        frame, lights = self.frame, [c.light for c in self.components if c.light]
        if frame.psf is None or frame.kernel is not None or frame.accuracy == "exact":
            return False
        return bool(lights) and all(applies(light, frame.fine) for light in lights)

    def with_partials(self, precision: torch.dtype) -> Scene:
        """The same with the partial images of plain ellipses in another precision."""
        return replace(self, frame=replace(self.frame, partials=precision))

    def render(
        self,
        values: Tensor,
        wanted: Sequence[int] = (),
        *,
        rows: Tensor | None = None,
        derivatives: Derivatives = "true",
        only: Sequence[int] | None = None,
        roughly: bool = False,
    ) -> Rendered:
        """Model images, and what makes their partial images; see :meth:`sketch`."""
        return self.sketch(values, wanted, rows=rows, derivatives=derivatives, only=only, roughly=roughly).drawn()

    def sketch(
        self,
        values: Tensor,
        wanted: Sequence[int] = (),
        *,
        rows: Tensor | None = None,
        derivatives: Derivatives = "true",
        only: Sequence[int] | None = None,
        roughly: bool = False,
    ) -> Sketch[Rendered]:
        """What makes model images.

        Args:
            values: (b, V) in the units of the menu.
            wanted: columns to differentiate with respect to.
            rows: (b,) which jobs of the batch; all by default.
            derivatives: how to differentiate.
            only: numbers of the components to add up; all by default.
            roughly: plain ellipses are drawn no more accurately than their partial images, and at once with these.
        """
        frame, values = self.frame if rows is None else self.frame.take(rows), values.to(self.frame.x0.dtype)
        sketches: dict[int, Sketch[Picture]] = {}
        columns: dict[int, tuple[int, ...]] = {}
        for component in self.components:
            if only is not None and component.number not in only:
                continue
            own = {name: values[:, column] for name, column in component.columns.items()}
            asked = tuple(name for name, column in component.columns.items() if column in wanted)
            sketches[component.number] = _sketch(component, own, asked, frame, derivatives, roughly)
            columns[component.number] = tuple(component.columns[name] for name in asked)

        def draw(told: np.ndarray) -> Rendered:
            ends = np.cumsum([sketch.asks.shape[1] for sketch in sketches.values()])[:-1]
            own = zip(sketches.items(), np.split(told, ends, 1), strict=True) if sketches else ()
            return self._rendered(
                {number: sketch.draw(part) for (number, sketch), part in own}, columns, wanted, values
            )

        asks = [sketch.asks for sketch in sketches.values()]
        return Sketch(torch.cat(asks, 1) if asks else values.new_zeros(len(values), 0, dtype=torch.long), draw)

    def _rendered(
        self,
        pictures: Mapping[int, Picture],
        columns: Mapping[int, tuple[int, ...]],
        wanted: Sequence[int],
        values: Tensor,
    ) -> Rendered:
        """The sum of components by number, with the columns of what each was differentiated by."""
        parts = {number: picture.image for number, picture in pictures.items()}
        first, *others = parts.values() or (values.new_zeros(len(values), *self.frame.shape),)
        image = sum(others, start=first)

        def partials(some: Tensor | None, both: bool = False) -> Partials:
            own = {number: picture.partials(some, both) for number, picture in pictures.items()}
            true = {number: found.true for number, found in own.items() if found.true is not None}
            true |= {number: found.slopes for number, found in own.items() if not found.slopes.shape[2]}
            batch = values if some is None else some
            return Partials(
                _spread({number: found.slopes for number, found in own.items()}, columns, wanted, batch),
                _joined([found.planes for found in own.values()]),
                _spread(true, columns, wanted, batch) if len(true) == len(own) else None,
            )

        return Rendered(image, parts, partials)

    def shown(self, drawn: Rendered) -> Tensor:
        """(b, H, W) of the components that are not left out."""
        shown = [drawn.parts[c.number] for c in self.components if not c.skip]
        if len(shown) == len(drawn.parts):
            return drawn.image
        return sum(shown, start=torch.zeros_like(drawn.image))


def _joined(pieces: Sequence[Iterator[Planes]]) -> Iterator[Planes]:
    return ([plane for planes in piece for plane in planes] for piece in zip(*pieces, strict=True))


def _spread(
    slopes: Mapping[int, Tensor], columns: Mapping[int, tuple[int, ...]], wanted: Sequence[int], batch: Tensor
) -> Tensor:
    """Slopes (b, K, P) of components by their own columns to those by the wanted columns, for all planes together.

    Numbers of a truncation that is shared are in several.
    """
    found = [
        own.new_zeros(*own.shape[:2], len(wanted)).index_copy_(
            2, host.indices([wanted.index(c) for c in columns[number]], own), own
        )
        for number, own in slopes.items()
    ]
    return torch.cat(found, 1) if found else batch.new_zeros(len(batch), 0, len(wanted), dtype=torch.float64)


def _sketch(
    component: SceneComponent,
    values: dict[str, Tensor],
    wanted: tuple[str, ...],
    frame: Frame,
    derivatives: Derivatives,
    roughly: bool,
) -> Sketch[Picture]:
    profile = component.profile
    if profile.kind == "background":
        return Sketch.simple(
            frame.x0, lambda: Picture.drawn(render.background(profile, values, wanted, frame), true=True)
        )
    if profile.kind == "point":
        true = derivatives == "true"
        return Sketch.simple(
            frame.x0, lambda: Picture.drawn(render.point(values, wanted, frame, derivatives), true=true)
        )
    assert component.light is not None
    light = replace(component.light, derivatives=derivatives, accuracy=frame.accuracy)
    return render.shaped(Drawing(light, values, wanted, roughly), frame)


def structure(job: Job, exposure: Exposure) -> tuple[object, ...]:
    """What jobs must share to be one batch, beside the region that is drawn."""
    control = job.control
    toggles = tuple(
        (c.name, c.inner, c.outer, c.rotation and c.rotation.function, c.skip, tuple(_toggles(c)))
        for c in job.components
    )
    shapes = tuple(None if a is None else a.shape for a in (exposure.psf, exposure.kernel))
    return (toggles, shapes, control.psf_fine, control.conv_box)


def may_have_margins(job: Job, exposure: Exposure) -> bool:
    """Whether what is drawn of a job does not depend on how much is drawn around it, but for rounding.

    That is so for plain ellipses under a convolution. GALFIT's derivatives of some others depend on what is beside
    them.
    """
    if exposure.psf is None or exposure.kernel is not None:
        return False
    return all(_is_simple(component, job.control.psf_fine) for component in job.components)


def _is_simple(component: Component, fine: int) -> bool:
    """Whether a component is the sky, a point source or a plain ellipse."""
    if component.is_truncation or component.inner or component.outer:
        return False
    profile = PROFILES[component.kind]
    if profile.kind in ("background", "point"):
        return True
    return applies(Light(profile, profile.meaning(component), Shape.of(component), (), frozenset()), fine)


def _toggles(component: Component) -> Iterator[tuple[str, bool]]:
    return ((key, parameter.free) for key, parameter in component.parameters())


def specs_of(component: Component) -> tuple[ParamSpec, ...]:
    """The numbers that a block may change the image by."""
    if component.is_truncation:
        given = {key for key, _ in component.parameters()}
        own = tuple(spec for spec in truncation.specs(component.word) if spec.key in given)
    else:
        profile = PROFILES[component.kind]
        own = profile.specs(profile.meaning(component))
    return own + tuple(shape.specs(component))


def _component(
    component: Component, job: Job, columns: dict[int, dict[str, int]], specs: Sequence[ParamSpec]
) -> SceneComponent:
    profile, own, skip = PROFILES[component.kind], dict(columns[component.number]), component.skip != 0
    if profile.kind in ("point", "background"):
        return SceneComponent(component.number, profile, None, own, skip)
    cuts = [
        Truncation.of(job.components[number - 1], inner, profile.kind == "edge")
        for number in component.inner + component.outer  # one named twice cuts four times in GALFIT (probed)
        for inner in (True,) * component.inner.count(number) + (False,) * component.outer.count(number)
    ]
    for cut in cuts:
        own |= {cut.name(name): column for name, column in columns[cut.number].items()}
    lengths = frozenset(name for name, column in own.items() if specs[column].unit == "pix")
    light = Light(profile, profile.meaning(component), Shape.of(component), tuple(cuts), lengths)
    return SceneComponent(component.number, profile, light, own, skip)


def build(
    jobs: Sequence[Job],
    exposures: Sequence[Exposure],
    dtype: torch.dtype = torch.float64,
    accuracy: Accuracy = "galfit",
    *,
    shape: tuple[int, int] | None = None,
    partials: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Scene:
    """Make the scene of jobs that have the same :func:`structure`.

    Args:
        shape: (H, W) of what is drawn, with the fitting regions in the middle; that of the first of them if not given.
        dtype: of the images and the numbers that they are made of.
        accuracy: GALFIT's numbers or exact ones.
        partials: precision of the partial images of plain ellipses; ``dtype`` if not given.
        device: where the images are made.
    """
    first = jobs[0]
    refs: list[ParamRef] = []
    specs: list[ParamSpec] = []
    columns: dict[int, dict[str, int]] = {}  # of each block
    for component in first.components:
        own = specs_of(component)
        columns[component.number] = {spec.name: len(refs) + i for i, spec in enumerate(own)}
        refs += [ParamRef(component.number, spec.key) for spec in own]
        specs += own
    components = [
        _component(component, first, columns, specs) for component in first.components if not component.is_truncation
    ]
    numbers = [[job.parameter(ref).value for ref in refs] for job in jobs]
    start = torch.tensor(numbers, dtype=torch.float64, device=device)
    frame = replace(_frame(jobs, exposures, shape, dtype, device), accuracy=accuracy, partials=partials or dtype)
    return Scene(tuple(components), tuple(refs), tuple(specs), start, frame)


def _frame(
    jobs: Sequence[Job],
    exposures: Sequence[Exposure],
    shape: tuple[int, int] | None,
    dtype: torch.dtype,
    device: torch.device | None,
) -> Frame:
    shape = shape or exposures[0].shape
    places = [exposure.inside(shape) for exposure in exposures]
    control = jobs[0].control

    def column(numbers: Sequence[float]) -> Tensor:
        return torch.tensor(numbers, dtype=dtype, device=device)

    def stack(images: Sequence[np.ndarray | None]) -> Tensor | None:
        present = [np.asarray(image, dtype=np.float64) for image in images if image is not None]
        return torch.as_tensor(np.stack(present), dtype=dtype, device=device) if present else None

    stars = stack([e.psf for e in exposures])
    return Frame(
        shape=shape,
        x0=column([e.region[0] - columns.start for e, (_, columns) in zip(exposures, places, strict=True)]),
        y0=column([e.region[2] - rows.start for e, (rows, _) in zip(exposures, places, strict=True)]),
        middle_x=column([(columns.start + columns.stop - 1) / 2 for _, columns in places]),
        middle_y=column([(rows.start + rows.stop - 1) / 2 for rows, _ in places]),
        zeropoint=column([j.control.zeropoint for j in jobs]),
        exptime=column([e.exptime for e in exposures]),
        pixel_area=column([j.control.plate_scale[0] * j.control.plate_scale[1] for j in jobs]),
        box=control.conv_box,
        psf=None if stars is None else psf.prepare(stars, control.psf_fine),
        kernel=stack([e.kernel for e in exposures]),
    )
