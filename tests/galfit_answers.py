"""Records rebuilt from what GALFIT wrote, so that the writers can be held against its files byte for byte."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from galfeed import feedme, images
from galfeed.images import Exposure
from galfeed.job import Job, Parameter
from galfeed.output.header import entries
from galfeed.result import FitResult, Status

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "compat_fixtures"
ORACLE = ROOT.parent / "shared" / "oracle"
VALUE = re.compile(r"([\[{*]?)([^\]}*\s]+)[\]}*]?(?: \+/- \*?([^*]+)\*?)?")


@dataclass(frozen=True)
class Answer:
    """One case: GALFIT's FITS file, the records that would make it, the log file it names, and GALFIT's texts."""

    file: bytes
    result: FitResult
    exposure: Exposure
    logfile: str
    log: str
    stdout: str


def hdus(file: bytes) -> list[tuple[list[str], bytes]]:
    """Cards (END left out) and data, padding included, of every HDU."""
    found, position = [], 0
    while position < len(file):
        cards: list[str] = []
        while not (cards and cards[-1].startswith("END     ")):
            cards.append(file[position : position + 80].decode("latin-1"))
            position += 80
        position = -(-position // 2880) * 2880
        sizes = [number(cards, f"NAXIS{axis + 1}") for axis in range(int(number(cards, "NAXIS")))]
        length = int(abs(number(cards, "BITPIX")) // 8 * np.prod(sizes))
        end = position + -(-length // 2880) * 2880
        found.append((cards[:-1], file[position:end]))
        position = end
    return found


def number(cards: list[str], keyword: str) -> float:
    return float(card(cards, keyword)[10:30])


def text(cards: list[str], keyword: str) -> str:
    return card(cards, keyword)[11:].split("'")[0]


def card(cards: list[str], keyword: str) -> str:
    return next(c for c in cards if c.startswith(f"{keyword:8}"))


def cases(root: Path, groups: tuple[str, ...] = ("",)) -> list[Path]:
    """Folders of a tree in which GALFIT wrote an image block or a model."""
    found = {path.parent.parent for group in groups for path in root.glob(f"{group or '*'}/**/expected/*.fits.gz")}
    return sorted(path for path in found if "smaller" not in path.name)  # inputs that galfeed refuses


def read(case: Path) -> Answer:
    """Rebuild a case.  The menu is the case's; values, errors, marks, chi^2 and flags are GALFIT's."""
    arguments = (case / "args.txt").read_text().split() if (case / "args.txt").exists() else []
    menu = next((word for word in arguments if word.endswith(".feedme")), "galfit.feedme")
    sky = {
        word[1:]: float(arguments[place + 1]) for place, word in enumerate(arguments) if word in ("-skyped", "-skyrms")
    }
    job = feedme.load(case / menu, menu)
    exposure = images.load(job, case, noskyest="-noskyest" in arguments, **sky)
    path = next(p for p in sorted((case / "expected").glob("*.fits.gz")) if p.name[:5] not in ("sigma", "weigh"))
    file = gzip.decompress(path.read_bytes())
    parts = hdus(file)
    place = {1: 0, 4: 2}.get(len(parts), 1) if "subcomps" not in path.name else 1
    cards = parts[place][0]
    shape = int(number(cards, "NAXIS2")), int(number(cards, "NAXIS1"))
    planes = [np.frombuffer(data, ">f4")[: shape[0] * shape[1]].reshape(shape) for _, data in parts[place:]]
    result = FitResult(
        job=fitted(job, cards),
        status=Status.CONVERGED,
        chi2=number(cards, "CHISQ"),
        ndof=int(number(cards, "NDOF")),
        free=(),
        covariance=np.zeros((0, 0)),
        flags=tuple(text(cards, "FLAGS").split()),
        iterations=1,
        model=planes[0].astype(float),
        components=tuple(plane.astype(float) for plane in planes[1:]),
    )
    log, stdout = (
        path.read_text(errors="replace") if path.exists() else ""
        for path in (case / "expected" / "fit.log", case / "expected" / "stdout.txt")
    )
    return Answer(file, result, exposure, text(cards, "LOGFILE"), log, stdout)


def fitted(job: Job, cards: list[str]) -> Job:
    """The job with the values, error bars, toggles and ties of a header."""
    values = {c[:8].rstrip(): c[11:].split("'")[0] for c in cards if re.match(r"\d+_", c)}
    components = []
    for component in job.components:
        changes = {}
        for spec, parameter in entries(component):
            match = VALUE.match(values.get(f"{component.number}_{spec.header}", ""))
            if match:
                sign, value, error = match.groups()
                toggle = min(parameter.toggle, 0) if sign == "[" else 1
                changes[spec.key] = Parameter(float(value), toggle, float(error or 0), tied=sign == "{")
        components.append(component.updated(changes))
    return replace(job, components=tuple(components))
