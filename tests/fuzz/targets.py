"""What every input must do, one function a target: it takes bytes and says whether galfeed has accepted them.

An input is read or refused, by a :class:`galfeed.errors.GalfeedError` of one line that names the file; nothing else is
raised, warned of or printed, no file is made or changed, and it takes neither long nor much memory.  An
``AssertionError``, or any other exception, is a bug.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

import corpus
import edits
import numpy as np

from galfeed import check as checks
from galfeed import feedme, images, options, readback
from galfeed.errors import GalfeedError
from galfeed.feedme import constraints
from galfeed.images.exposure import read_kernel
from galfeed.images.fitsfile import Absent
from galfeed.images.fitsfile import read as read_fits
from galfeed.job import Component, Control, Job, Parameter

SECONDS = 2.0
"""Of reading."""

PATIENCE = 40.0
"""Seconds of the whole command: a model of absurd numbers is drawn as finely as any."""

HANGS = 120
"""Seconds after which an input is given up."""

MEMORY = 2 * 2**30
"""Address space that the process may take beyond what it has when all is imported."""

LONGEST = 2000
"""Characters of a message."""

MENU_NAME = "galfit.feedme"


class Scratch:
    """A folder with the files of one small job.

    Args:
        path: the folder.
        expected: the files in it as they should be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.expected: dict[str, bytes] = {}
        self.other = ""  # the file that is not as in corpus.files(), if any
        self.restore()

    def restore(self) -> None:
        """All files as they were, others gone."""
        for name in os.listdir(self.path):
            if name not in corpus.files():
                (self.path / name).unlink()
        for name, data in corpus.files().items():
            (self.path / name).write_bytes(data)
        self.expected, self.other = dict(corpus.files()), ""

    def put(self, name: str, data: bytes) -> None:
        """One file more, or another one of the name, and all the rest as it was."""
        if self.other not in ("", name):
            self.restore()
        self.other = name
        self.expected[name] = data
        (self.path / name).write_bytes(data)

    def check(self, name: str) -> None:
        """No file made or lost; this one as it was, byte for byte."""
        assert set(os.listdir(self.path)) == self.expected.keys(), (
            f"files were made or lost: {set(os.listdir(self.path)) ^ self.expected.keys()}"
        )
        assert (self.path / name).read_bytes() == self.expected[name], f"{name} has changed"

    def changed(self) -> set[str]:
        """Names of files that were made, lost or changed."""
        found = {name: (self.path / name).read_bytes() for name in os.listdir(self.path)}
        names = found.keys() | self.expected.keys()
        return {name for name in names if found.get(name) != self.expected.get(name)}


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """A scratch folder as the current one, and a bound of memory, while inputs are tried."""
    import_module("galfeed.fit")  # with torch, whose libraries alone may need more than the bound
    home = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="galfeed-fuzz-") as folder, _memory_bounded(), _given_up():
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(home)
            scratch.cache_clear()


@cache
def scratch() -> Scratch:
    return Scratch(Path.cwd())


@contextlib.contextmanager
def watched(seconds: float = SECONDS) -> Iterator[None]:
    """A bound of time, warnings as errors, nothing printed."""
    out, err = io.StringIO(), io.StringIO()
    start = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, HANGS)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            warnings.simplefilter("error")
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    taken = time.perf_counter() - start
    assert taken < seconds, f"took {taken:.1f} s"
    assert out.getvalue() + err.getvalue() == "", "has printed"


@contextlib.contextmanager
def _memory_bounded() -> Iterator[None]:
    """Too large an array is a MemoryError, as is one that is never touched."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        yield
        return
    held = int(statm.read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def _given_up() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise AssertionError(f"still at work after {HANGS} s")

    old = signal.signal(signal.SIGALRM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, old)


def check_line(line: str, *names: str) -> None:
    """One line for a person to read, which begins with one of the names if any are given."""
    assert line.splitlines() == [line], "not one line"
    assert all(c.isprintable() or "\ud800" <= c <= "\udfff" for c in line), "control characters"
    assert len(line) <= LONGEST, f"{len(line)} characters"
    assert (": " in line or len(line) > 900) and not line.endswith(": "), "no message"
    assert line.startswith(names or ""), f"names none of {names}"


# Text


def menu(data: bytes) -> bool:
    """A menu is read from disk, and what is printed of it reads back as the same job."""
    place = scratch()
    place.put(MENU_NAME, data)
    try:
        with watched():
            try:
                job = feedme.load(Path(MENU_NAME), MENU_NAME)
            except GalfeedError as error:
                check_line(str(error), f"{MENU_NAME}:")
                return False
            check_job(job)
            for warning in job.warnings:
                check_line(str(warning), f"{MENU_NAME}:")
            check_echo(job)
            return True
    finally:
        place.check(MENU_NAME)


def check_job(job: Job) -> None:
    """Numbers and numbering."""
    assert [component.number for component in job.components] == list(range(1, len(job.components) + 1))
    assert job.components and job.control.region is not None


def check_echo(job: Job) -> None:
    """What is printed reads back, unless four digits make a 0 of a hidden parameter: that is another menu."""
    hidden = (p.value for c in job.components for key, p in c.parameters() if key[0] in "bcf")
    if any(0 < abs(value) < SMALLEST_PRINTED for value in hidden):
        return
    text = feedme.dump(job)
    again = feedme.parse(text, MENU_NAME)
    assert len(job.components) == len(again.components), "reads back as more or fewer components"
    changed = different(job.control, again.control)
    for one, other in zip(job.components, again.components, strict=True):
        changed += different_components(one, other)
    assert not changed, f"reads back otherwise: {changed}"
    # Where a name is blank, the comment behind it is read as one that is blank: "D) psf.fits     # Input PSF".
    again = replace(again, control=replace(again.control, comments=job.control.comments))
    assert feedme.dump(again) == text, "prints otherwise when read back"


SMALLEST_PRINTED = 5.1e-5


def different(one: Control, other: Control) -> list[str]:
    """Fields of control lines that are not the same, but for the three decimals that are printed."""
    changed = [
        name
        for name in ("data", "output", "sigma", "psf", "kernel", "psf_fine", "mask", "constraints", "region")
        + ("conv_box", "display", "mode")
        if getattr(one, name) != getattr(other, name)
    ]
    numbers = zip((one.zeropoint, *one.plate_scale), (other.zeropoint, *other.plate_scale), strict=True)
    return changed + [f"{a} {b}" for a, b in numbers if not np.isclose(_f32(a), b, 1e-6, 5.1e-4, equal_nan=True)]


def different_components(one: Component, other: Component) -> list[str]:
    """What is not the same of a block, but for the four digits that are printed."""
    changed = [
        name for name in ("number", "name", "inner", "outer", "skip") if getattr(one, name) != getattr(other, name)
    ]
    before, after = dict(one.parameters()), dict(other.parameters())
    if list(before) != list(after):
        changed.append(f"keys {list(before)} {list(after)}")
    return changed + [key for key in before.keys() & after.keys() if not _alike(before[key], after[key])]


def _alike(one: Parameter, other: Parameter) -> bool:
    return one.toggle == other.toggle and bool(np.isclose(_f32(one.value), other.value, 6e-4, 5.1e-5, equal_nan=True))


def _f32(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


@cache
def _job(**names: str) -> Job:
    """A job that reads no other files than these, by their fields of ``Control``."""
    whole = feedme.parse(corpus.MENU.decode(), MENU_NAME)
    none = {"psf": "", "kernel": "", "mask": "none", "constraints": "none"}
    return replace(whole, control=replace(whole.control, **(none | names)))


def constraint_file(data: bytes) -> bool:
    """Constraints on a sersic and a sky."""
    return _read_file("limits.txt", data, _constraints)


def _constraints() -> None:
    found = constraints.load(_job(constraints="limits.txt"), Path())
    for warning in found.warnings:
        check_line(str(warning), "limits.txt:")
    for constraint in found.constraints:
        assert constraint.line > 0


def _read_file(name: str, data: bytes, read: Callable[[], object]) -> bool:
    """One file of the job."""
    place = scratch()
    place.put(name, data)
    try:
        with watched():
            try:
                read()
            except GalfeedError as error:
                check_line(str(error), f"{MENU_NAME}:", name)
                return False
            return True
    finally:
        place.check(name)


# Images


def _exposure(job: Job) -> None:
    """Read all images of a job; what is read can be fitted."""
    exposure = images.load(job, Path())
    for warning in exposure.warnings:
        check_line(str(warning), f"{MENU_NAME}:")
    x1, x2, y1, y2 = exposure.region
    shape = y2 - y1 + 1, x2 - x1 + 1
    for array in (exposure.data, exposure.good, exposure.sigma):
        assert array is None or array.shape == shape
    assert exposure.data is None or np.isfinite(exposure.data).all()
    assert np.isfinite(exposure.sigma).all() and (exposure.sigma > 0).all()
    assert exposure.psf is None or np.isfinite(exposure.psf).all()


def data(data: bytes) -> bool:
    """The data image; the sigma image is made from it."""
    return _read_file("gal.fits", data, lambda: _exposure(_job()))


def sigma(data: bytes) -> bool:
    return _read_file("sigma.fits", data, lambda: _exposure(_job(sigma="sigma.fits")))


def psf(data: bytes) -> bool:
    return _read_file("psf.fits", data, lambda: _exposure(_job(psf="psf.fits", sigma="sigma.fits")))


def mask(data: bytes) -> bool:
    return _read_file("mask.fits", data, lambda: _exposure(_job(mask="mask.fits", sigma="sigma.fits")))


def mask_list(data: bytes) -> bool:
    return _read_file("mask.txt", data, lambda: _exposure(_job(mask="mask.txt", sigma="sigma.fits")))


def packed(data: bytes) -> bool:
    """Tile-compressed images."""
    return _read_file("packed.fits", data, lambda: _read_named("packed.fits[1]"))


def kernel(data: bytes) -> bool:
    def read() -> None:
        matrix = read_kernel("kernel.txt", Path("kernel.txt"))
        assert matrix is None or (matrix.ndim == 2 and matrix.size > 1 and np.isfinite(matrix).all())

    return _read_file("kernel.txt", data, read)


def _read_named(name: str) -> None:
    with contextlib.suppress(Absent):
        image = read_fits(name, Path())
        assert min(image.shape) > 0
        image.plane()
        image.stored(slice(None), slice(None))


def name(data: bytes) -> bool:
    """A file name with CFITSIO's additions, as a word of a menu."""
    word = (data.decode("utf-8", "surrogateescape").replace("\0", "").split() or ["none"])[0]
    place = scratch()
    place.put(MENU_NAME, b"")
    try:
        with watched():
            try:
                _read_named(word)
            except GalfeedError as error:
                check_line(str(error))
                return False
            return True
    finally:
        place.check(MENU_NAME)


# Results


def results(data: bytes) -> bool:
    """An old log, restart file or image block is read back."""
    return _read_file("old.log", data, _read_back)


def _read_back() -> None:
    reading = readback.load("old.log")
    for remark in reading.remarks:
        check_line(str(remark), "old.log")
    assert reading.results or reading.remarks


# Commands


def arguments(data: bytes) -> bool:
    """Words of a command line, with a zero byte between them."""
    words = data.decode("utf-8", "surrogateescape").split("\0")
    with watched():
        try:
            asked = options.parse(words)
        except GalfeedError as error:
            check_line(str(error))
            return False
        assert set(asked.menus + asked.ignored) <= set(words)
        return True


CHECKED = ("gal.fits", "sigma.fits", "psf.fits", "mask.fits")


def check(data: bytes) -> bool:
    """An image is looked at before a fit; which one hangs on the input."""
    menu = "sigma.feedme" if zlib.crc32(data) % 8 < 4 else "plain.feedme"

    def look() -> None:
        for finding in checks.check(Path(menu), menu, Path(), options.Options()):
            check_line(str(finding), menu, "limits.txt")

    return _read_file(CHECKED[zlib.crc32(data) % 4], data, look)


LARGE = 300
"""Pixels along a side above which a model may take its time."""

MODES = ("-o1", "-o1", "-o1", "-o2", "-o3", "-imax 1", "-o2 -outsig --json", "-imax 2 --json")


def command(data: bytes) -> bool:
    """The whole command on a menu: exit codes, messages, and no file lost or half done.

    The mode hangs on the menu, so that an input can be tried again.
    """
    from galfeed import cli, onejob

    # Nothing outside the folder is to be written.
    data = data.replace(b"/", b"_").replace(b"~", b"_")
    place = scratch()
    place.put(MENU_NAME, data)
    if not _small(data):
        return False
    if zlib.crc32(data[::-1]) % 8 == 0:
        return command_check(data)
    mode = MODES[zlib.crc32(data) % len(MODES)]
    # As they are for the command.
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    try:
        with watched(PATIENCE), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main([*mode.split(), MENU_NAME])
        out.flush()
        err.flush()
        said = err.buffer.getvalue().decode()  # type: ignore[attr-defined]
        assert code in (onejob.DONE, onejob.FAILED, onejob.WRONG_INPUT)
        lines = said.split("\n")[:-1]
        for line in lines:
            check_line(line)
        if code != onejob.DONE:
            assert lines, "no message"
            if not out.buffer.getvalue():  # type: ignore[attr-defined]
                assert len(lines) == 1, "more than the error"
        check_outputs(place, mode, code)
        return code == onejob.DONE
    finally:
        place.restore()


def command_check(data: bytes) -> bool:
    """``galfeed check`` of the menu in the folder: findings, and nothing written."""
    with watched():
        findings = checks.check(Path(MENU_NAME), MENU_NAME, Path(), options.Options())
        for finding in findings:
            check_line(str(finding))
    scratch().check(MENU_NAME)
    return not any(finding.error for finding in findings)


def _small(data: bytes) -> bool:
    """Whether the model is small enough to be made within the bounds; a menu that cannot be read is."""
    try:
        control = feedme.parse(data.decode("utf-8-sig", "surrogateescape"), "").control
    except Exception:
        return True
    x1, x2, y1, y2 = control.region or (1, 1, 1, 1)
    return (x2 - x1 < LARGE and y2 - y1 < LARGE) or control.data in corpus.files()


def check_outputs(place: Scratch, mode: str, code: int) -> None:
    """Wrong input leaves all as it was; a success makes or changes whole files of what was asked for, one at least.

    A fit without solution writes nothing but its record for programs, where that is asked for.
    """
    assert place.expected.keys() <= set(os.listdir(place.path)), "a file is gone"
    changed = place.changed()
    if code == 1:
        changed = {name for name in changed if not ("--json" in mode and name.endswith(".json"))}
    assert bool(changed) == (code == 0), f"changed: {changed}"
    for name in changed:
        data = (place.path / name).read_bytes()
        if "--json" in mode and name.endswith(".json"):
            json.loads(data, parse_constant=_no_number)
        elif not ("-imax" in mode and name in ("fit.log", "galfit.01")):
            assert data.startswith(b"SIMPLE") and len(data) % edits.BLOCK == 0, f"{name} is no image"


def _no_number(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


TARGETS: dict[str, Callable[[bytes], bool]] = {
    "menu": menu,
    "constraints": constraint_file,
    "data": data,
    "sigma": sigma,
    "psf": psf,
    "mask": mask,
    "packed": packed,
    "mask_list": mask_list,
    "kernel": kernel,
    "name": name,
    "arguments": arguments,
    "results": results,
    "check": check,
    "command": command,
}
