"""Menus and restart files that people have used: each that GALFIT takes makes a model image.

They come from public repositories and are read where a checkout has them beside it; without their images, as GALFIT was
run on them, so that only a model is made.
"""

import contextlib
import csv
import io
import re
from pathlib import Path

import pytest
from astropy.io import fits

from galfeed.cli import main

MENUS = Path(__file__).parents[2] / "shared" / "feedmes"
OUTPUT = re.compile(rb"^([ \t]*B(?![0-9])\S*[ \t]*)[^\s#]*", re.MULTILINE | re.IGNORECASE)


TEMPLATES = (  # fragments: words stand where numbers belong, and there is no H); GALFIT itself crashes on them
    "feedme/dartoon__my_code__string1_gal.txt",
    "feedme/waynebhayes__SpArcFiRe__template_arcs.feedme",
)


def accepted():
    if not MENUS.exists():
        return []
    with open(MENUS / "index.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["galfit_3.0.5"].startswith("ok")]
    return [row["file"] for row in rows]


@pytest.mark.skipif(not MENUS.exists(), reason="needs the collection of real menus")
def test_there_are_menus():
    assert len(accepted()) > 100


@pytest.mark.parametrize("name", accepted())
def test_a_model_image_is_made(name, tmp_path, monkeypatch):
    text = (MENUS / name).read_bytes()
    menu = tmp_path / "galfit.feedme"
    menu.write_bytes(OUTPUT.sub(rb"\1out.fits", text))
    monkeypatch.chdir(tmp_path)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["-o1", menu.name])
    if code == 2:
        (line,) = err.getvalue().splitlines()
        assert "GALFITM" in line or name in TEMPLATES
        return
    assert code == 0, err.getvalue()
    with fits.open(tmp_path / "out.fits") as hdus:
        assert len(hdus) == 1 and hdus[0].data.ndim == 2
