"""The header of the model image: what was fitted, all parameters, how the fit ended; GALFIT's words and order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from galfeed.job import Component, Control, Job, Parameter, ParamSpec
from galfeed.output.fitscard import comment_card, keyword, number_card, text_card
from galfeed.output.marks import FIXED, FREE, SUSPICIOUS, Region, flagged, header_value, mark, single, suspicious
from galfeed.profiles._profile import X, Y
from galfeed.result import FitResult
from galfeed.tables import header_specs

if TYPE_CHECKING:
    from galfeed.images.exposure import Exposure

LINE = comment_card("-" * 72)
INPUT = comment_card("========== GALFIT Input Parameters ==========")
FINAL = comment_card("========== GALFIT Final Parameters ==========")
END = comment_card("=" * 45)

CENTRE = ("XC", "YC")
SHORT = 8  # characters of a keyword; a longer one makes a HIERARCH card


def entries(component: Component) -> Iterator[tuple[ParamSpec, Parameter]]:
    """The parameters that GALFIT counts for one component, in the order of the header."""
    for key, spec in header_specs(component).items():
        yield spec, parameter_at(component, key)


def parameter_at(component: Component, key: str) -> Parameter:
    """The number at a menu key; a position angle that a truncation leaves out is 0, fixed."""
    if key.isdecimal():
        return component.slots[int(key) - 1] or Parameter(0.0)
    return component.parameter(key)


def counts(job: Job) -> tuple[int, int]:
    """Numbers of free parameters and of fixed or tied ones, NFREE and NFIX.

    What a function does not use and the centre of the sky do not count; the index 4 of a devauc does, as fixed.
    """
    numbers = [parameter for component in job.components for _, parameter in entries(component)]
    devaucs = sum(component.kind == "devauc" for component in job.components)
    free = sum(parameter.free for parameter in numbers)
    return free, len(numbers) - free + devaucs


def doubtful(job: Job, region: Region) -> bool:
    """Whether GALFIT warns of a numerical problem at the end of a fit.

    Some parameter that its function uses is suspicious; fixed ones count too, but not fixed positions.
    """
    return any(
        suspicious(component, spec.key, parameter.value, region)
        for component in job.components
        for spec, parameter in entries(component)
        if parameter.toggle > 0 or spec.key not in ("1", "2")
    )


def users(job: Job, truncation: int) -> tuple[list[int], list[int]]:
    """Numbers of the components that a truncation cuts on the inside, and of those on the outside."""
    inner = [c.number for c in job.components for number in c.inner if number == truncation]
    outer = [c.number for c in job.components for number in c.outer if number == truncation]
    return inner, outer


def region_centre(region: Region) -> tuple[float, float]:
    """The pixel position that the sky's level and gradients belong to."""
    x1, x2, y1, y2 = region
    return (x1 + x2) / 2, (y1 + y2) / 2


def name_text(component: Component) -> str:
    """A component's name as the header has it, with a blank before the truncation signs or in their place."""
    function, _, signs = component.printed_name.partition(" ")
    return f"{function} {signs}"


def parameter_cards(result: FitResult, exposure: Exposure, logfile: str) -> list[str]:
    """The cards from ``COMMENT = GALFIT Input Parameters`` to the end, 80 columns each.

    Args:
        result: final values, chi^2 and flags.
        exposure: what was read.
        logfile: the restart file, such as ``galfit.01``.
    """
    cards = [INPUT, *_input_cards(result.job, exposure), FINAL]
    for component in result.job.components:
        # A card whose keyword comes twice takes the place of the first: the power ALPHA of a spiral overwrites the
        # alpha of a nuker, king or ferrer in GALFIT's header.
        own = _component_cards(result.job, component, exposure.region)
        cards += {keyword(card).upper(): card for card in own}.values()
        cards.append(LINE)
    free, fixed = counts(result.job)
    return [
        *cards,
        flags_card(result.flags),
        LINE,
        number_card("CHISQ", float(result.chi2), "Chi^2 of fit"),
        number_card("NDOF", int(result.ndof), "Degrees of freedom"),
        number_card("NFREE", free, "Number of free parameters"),
        number_card("NFIX", fixed, "Number of fixed parameters"),
        number_card("CHI2NU", single(result.chi2nu), "Reduced Chi^2", digits=7),
        text_card("LOGFILE", logfile, "Output logfile"),
        END,
        comment_card(""),
    ]


def flags_card(flags: Sequence[str]) -> str:
    return text_card("FLAGS", "".join(f"{flag} " for flag in flags), "See `galfit -help' for details.")


def kernel_name(control: Control, exposure: Exposure) -> str:
    """The charge diffusion kernel as header and restart file name it: blank where a PSF was read and no kernel."""
    return "" if exposure.psf is not None and exposure.kernel is None else control.kernel


def _input_cards(job: Job, exposure: Exposure) -> list[str]:
    control = job.control.written
    width, height = control.conv_box
    kernel = "" if control.kernel.startswith("#") else kernel_name(control, exposure)
    return [
        text_card("INITFILE", job.path, "GALFIT input file"),
        text_card("DATAIN", "none" if exposure.data is None else control.data, "Input data image"),
        text_card("SIGMA", control.sigma, "Input sigma image"),
        text_card("PSF", f"{control.psf} {kernel}", "Convolution PSF and kernel"),
        text_card("CONSTRNT", control.constraints, "Parameter constraint file"),
        text_card("MASK", control.mask, "Input mask image"),
        text_card("FITSECT", section(exposure.region), "Image section fitted"),
        text_card("CONVBOX", f"{width}, {height}", "Convolution box size"),
        number_card("MAGZPT", single(control.zeropoint), "Magnitude zeropoint", digits=7),
    ]


def section(region: Region) -> str:
    """A region as FITS writes it: ``[1:93,1:93]``."""
    x1, x2, y1, y2 = region
    return f"[{x1}:{x2},{y1}:{y2}]"


def _component_cards(job: Job, component: Component, region: Region) -> Iterator[str]:
    n = component.number
    yield text_card(f"COMP_{n}", name_text(component), "Component type")
    if component.kind == "sky":
        for word, spec, centre in zip(CENTRE, (X, Y), region_centre(region), strict=True):
            yield text_card(f"{n}_{word}", header_value(Parameter(centre), FIXED), spec.comment)
    if component.is_truncation:
        for word, others in zip(("INNER", "OUTER"), users(job, n), strict=True):
            text = "".join(f" {other}" for other in others) or "0"
            yield text_card(f"{n}_{word}", text, f"Component(s) with {word.lower()} truncation")
    linked = False
    for spec, parameter in entries(component):
        hidden = not spec.key.isdecimal()
        if hidden and not linked:
            yield from _link_cards(component)
            linked = True
        if spec.key == "r1" and component.rotation is not None:
            yield text_card(f"{n}_ROTF", component.rotation.function, "Axial rotation function")
        if spec.header:
            sign = mark(component, spec.key, parameter, region)
            if sign is SUSPICIOUS and not flagged(component, spec.key, parameter.value, region):
                sign = FREE
            yield text_card(_keyword(n, spec), header_value(parameter, sign, hidden=hidden), spec.comment)
    if not linked:
        yield from _link_cards(component)


def _keyword(n: int, spec: ParamSpec) -> str:
    """The keyword of a number of component n; only a long one shows how GALFIT spells it."""
    word = f"{n}_{spec.header}"
    if len(word) <= SHORT:
        return word
    if spec.key.startswith("f"):
        return word.replace("PA", "pa")
    return word.lower() if spec.key.isdecimal() and spec.header in ("ALPHA", "GAMMA") else word


def _link_cards(component: Component) -> Iterator[str]:
    for word, others in (("TINNR", component.inner), ("TOUTR", component.outer)):
        if others:
            where = "Inner" if word == "TINNR" else "Outer"
            numbers = "".join(f" {other} " for other in others)
            yield text_card(f"{component.number}_{word}", numbers, f"{where} truncation by component(s)")
