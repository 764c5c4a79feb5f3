"""Logs, restart files, menus and headers that GALFIT 2, GALFIT 3 and GALFITM have left: all are read back.

They come from public repositories, and from the corpus of GALFIT's answers; read where a checkout has them beside it.
"""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
from readings import agree

import galfeed
from galfeed import feedme, readback
from galfeed.errors import GalfeedError
from galfeed.readback import Result

SHARED = Path(__file__).parents[2] / "shared"
MENUS = SHARED / "feedmes"
ORACLE = SHARED / "oracle"
FOLDERS = ("pymorph", "sparcfire", "autolensfit", "galfit-example", "galmoss-sdss", "oracle")

pytestmark = pytest.mark.skipif(not MENUS.exists(), reason="needs the collection of real files")


def files(*patterns: str) -> list[str]:
    """Names below ``shared`` that match."""
    return sorted({str(path.relative_to(SHARED)) for pattern in patterns for path in SHARED.glob(pattern)})


def results(name: str) -> tuple[Result, ...]:
    """What a file holds; every record makes a row."""
    found = readback.load(SHARED / name).results
    for result in found:
        assert result.components
        assert all(component.values for component in result.components)
        row = result.row()
        assert sum(word.startswith("COMP_") for word in row) == len(result.components)
    return found


# Logs

LOGS = files("feedmes/fitlog/*", *(f"{folder}/**/*fit*.log" for folder in FOLDERS), "oracle/*/*/expected/fit.log")
NOT_A_LOG = "oracle/options/log_appended/fit.log"  # what stands there before the run
CUT = 5  # long logs of which the collection keeps the first entries only


@pytest.mark.parametrize("name", [name for name in LOGS if name != NOT_A_LOG])
def test_every_entry_of_a_log_is_read(name):
    text = (SHARED / name).read_text(encoding="utf-8", errors="surrogateescape")
    found = results(name)
    assert len(found) == text.count("Chi^2/nu")
    assert all(result.kind == "log" and result.section for result in found)


def test_there_are_logs():
    assert len([name for name in LOGS if name.startswith("feedmes")]) == 22
    assert len(LOGS) > 200


def test_logs_warn_of_what_is_left_out_only():
    told = {name: remarks for name in LOGS if name != NOT_A_LOG and (remarks := readback.load(SHARED / name).remarks)}
    assert told.pop("oracle/options/log_appended/expected/fit.log")[0].message.startswith(
        "'an older fit' belongs to no"
    )
    assert len(told) == CUT
    assert all("is cut short" in remark.message for remarks in told.values() for remark in remarks)


# Headers

HEADERS = files("feedmes/headers/*", "*/*/*.hdr.txt")
BLOCKS = files(
    "autolensfit/*/galfit_image.fits",
    "sparcfire/*/galfit_out.fits",
    "galmoss-sdss/*-imgblock.fits",
    "galfit-example/expected/*.fits",
    "pymorph/**/O_*.fits",
    "oracle/*/*/expected/imgblock.fits.gz",
    "oracle/*/*/expected/subcomps.fits.gz",
)


@pytest.mark.parametrize("name", HEADERS + BLOCKS)
def test_every_header_is_read(name):
    (result,) = results(name)
    assert result.kind == "header"
    assert result.chi2nu is not None and result.ndof is not None


def test_there_are_headers():
    assert len(HEADERS) > 60 and len(BLOCKS) > 300


@pytest.mark.parametrize(
    "name", files("sparcfire/*/in.fits", "autolensfit/*/in.fits", "oracle/fits/sersic_*/image.fits")
)
def test_other_images_are_refused_in_one_line(name):
    with pytest.raises(GalfeedError, match="no header has GALFIT's parameters"):
        galfeed.read(SHARED / name)


# Restart files and menus

RESTARTS = files(
    "feedmes/restart/*",
    "*/*/galfit.[0-9]*",
    "oracle/*/*/expected/galfit.[0-9]*",
    "galmoss-sdss/*.galfit.01",
    "pymorph/**/*.out",
)


@pytest.mark.parametrize("name", RESTARTS)
def test_every_restart_file_is_read(name):
    (result,) = results(name)
    assert result.kind == "menu"
    written = "Input menu file" in (SHARED / name).read_text(encoding="utf-8", errors="surrogateescape")
    assert bool(result.init) == written


def test_there_are_restart_files():
    assert len([name for name in RESTARTS if name.startswith("feedmes")]) == 47
    assert len(RESTARTS) > 200


def accepted() -> list[str]:
    """Menus that GALFIT takes and that are no templates."""
    if not MENUS.exists():
        return []
    with open(MENUS / "index.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["galfit_3.0.5"].startswith("ok")]
    kept = [row["file"] for row in rows if row["kind"] in ("feedme", "restart")]
    return [name for name in kept if not name.endswith(("string1_gal.txt", "template_arcs.feedme"))]


@pytest.mark.parametrize("name", accepted())
def test_a_menu_and_its_printed_form_hold_the_same(name, tmp_path):
    (result,) = results(f"feedmes/{name}")
    menu = feedme.load(MENUS / name, "galfit.feedme")
    printed = tmp_path / "galfit.01"
    printed.write_text(feedme.dump(menu), errors="surrogateescape")
    (again,) = galfeed.read(printed)
    if result.program == "GALFIT 2":  # printed as GALFIT 3 reads it
        assert len(again.components) == len(result.components)
        return
    assert (again.image, again.output, again.section) == (result.image, result.output, result.section)
    for own, other in zip(result.components, again.components, strict=True):
        assert (own.name, own.rotation, own.inner, own.outer) == (other.name, other.rotation, other.inner, other.outer)
        assert own.values.keys() == other.values.keys()
        marks = {word: value.mark for word, value in own.values.items()}
        assert {word: value.mark.replace("tied", marks[word]) for word, value in other.values.items()} == marks
        for word, value in own.values.items():
            assert value.value == pytest.approx(other.values[word].value, rel=6e-4, abs=6e-5)


# GALFITM

MULTI = files("feedmes/galfitm/*")
FRAGMENTS = {
    "simple.multi.badmask.output.1.2.0-osx": "no line A)",  # a capture of the screen that lacks its beginning
    "simple.multinest.output.1.1.12-osx": "no line A)",
    "simple.multinest.output.1.2.0-osx": "no line A)",
    "galfit.feedme.template": "four whole numbers",
}


def fragment(name: str) -> str | None:
    return next((message for end, message in FRAGMENTS.items() if name.endswith(end)), None)


@pytest.mark.parametrize("name", [name for name in MULTI if not fragment(name)])
def test_every_menu_of_galfitm_is_read(name):
    (result,) = results(name)
    for component in result.components:
        lengths = {len(value) if isinstance(value, tuple) else 1 for value in component.values.values()}
        assert lengths == {max(len(result.bands), 1)}


@pytest.mark.parametrize("name", [name for name in MULTI if fragment(name)])
def test_fragments_are_refused_in_one_line(name):
    with pytest.raises(GalfeedError, match=fragment(name).replace(")", r"\)")):
        galfeed.read(SHARED / name)


def test_there_are_menus_of_galfitm():
    assert len(MULTI) == 45


def test_galfitm_computes_the_same_values_in_the_bands(tmp_path):
    """The screen shows the menu twice, as coefficients and band by band."""
    name = "MegaMorph__galfitm-tests__simple.multi.badmask.output.1.2.0-osx"
    head = "A) u.fits,g.fits,r.fits\nA1) a,b,c\nA2) 5000,3000,6000\n"
    both = head + (MENUS / "galfitm" / name).read_text()
    coefficients = both[: both.index("# INITIAL BAND FITTING PARAMETERS")]
    (computed,), (given,) = (_read(tmp_path, text) for text in (coefficients, both))
    for own, other in zip(computed.components, given.components, strict=True):
        assert own.values.keys() == other.values.keys()
        for word, values in own.values.items():
            printed = [value.value for value in other.values[word]]
            assert [value.value for value in values] == pytest.approx(printed, abs=6e-4)


def _read(folder: Path, text: str) -> list[Result]:
    (folder / "menu").write_text(text)
    return galfeed.read(folder / "menu")


def test_a_header_of_galfitm_has_the_values_of_its_coefficients():
    name = "feedmes/headers/MegaMorph__galfitm-tests__modelWa.fits.hdr.txt"
    (result,) = results(name)
    assert len(result.bands) == 9
    cards = (SHARED / name).read_text().split("=== HDU 2")[0].split("\n")
    waves = np.array([float(card[10:].split("/")[0]) for card in cards if card.startswith("WL_")])
    place = (2 * waves - waves.max() - waves.min()) / (waves.max() - waves.min())
    for component in result.components:
        for word, values in component.values.items():
            own = [card for card in cards if card.startswith(f"{component.number}_{word}_")]
            coefficients = [float(card.split("[")[1].split("]")[0]) for card in own if card[:8].rstrip()[-1].isdigit()]
            expected = np.polynomial.chebyshev.chebval(place, coefficients)
            assert [value.value for value in values] == pytest.approx(expected, abs=2e-3)


# One run, several files


def runs() -> list[Path]:
    return sorted(log.parent for log in ORACLE.glob("*/*/expected/fit.log"))


@pytest.mark.parametrize("folder", runs(), ids=lambda folder: "/".join(folder.parts[-3:-1]))
def test_log_header_and_restart_file_of_one_run_agree(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", readback.ReadWarning)
        log = galfeed.read(folder / "fit.log")[-1]
    (restart,) = galfeed.read(folder / log.restart)
    block = folder / f"{log.output}.gz"
    if restart.chi2 is None:  # GALFIT leaves out the line of a chi^2 that is no number
        assert not log.chi2 or log.chi2 != log.chi2
        return
    agree(log, restart)
    if block.exists():
        (header,) = galfeed.read(block)
        agree(log, header)
        agree(header, restart)


def test_galfit_2_agrees_with_itself():
    folder = SHARED / "pymorph" / "postage_stamps" / "expected"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log = galfeed.read(folder / "fit2.log")
    assert len(log) == 10
    for entry in log:
        (restart,) = galfeed.read(folder / entry.init.replace(".in", ".out"))
        assert entry.program == restart.program == "GALFIT 2"
        assert restart.chi2 == pytest.approx(entry.chi2, rel=1e-6)
        for own, other in zip(entry.components, restart.components, strict=True):
            assert own.values.keys() == other.values.keys()
            for word, value in own.values.items():
                assert value.value == pytest.approx(
                    other.values[word].value, abs=6e-3 if word in ("XC", "YC") else 1e-4
                )
                assert value.mark == other.values[word].mark or (value.mark, other.values[word].mark) == (
                    "unknown",
                    "fixed",
                )
