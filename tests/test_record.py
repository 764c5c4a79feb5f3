"""``--json``: the same numbers as in GALFIT's files, and a word on fits that have none."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from galfeed.cli import main
from galfeed.output import record

ROOT = Path(__file__).parents[1]
MENU = "galfit.feedme"


def run(tmp_path, monkeypatch, fixture, *options, edit=lambda text: text):
    """Run a fixture and return its exit code and record."""
    folder = tmp_path / fixture
    shutil.copytree(ROOT / "compat_fixtures" / fixture, folder, ignore=shutil.ignore_patterns("expected", "case.toml"))
    monkeypatch.chdir(folder)
    menu = folder / MENU
    menu.write_text(edit(menu.read_text()))
    code = main([*options, "--json", MENU])
    (path,) = folder.glob("*.json")
    return code, json.loads(path.read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("fixture", ["tied", "spiral", "model_truncated"])
def test_agrees_with_the_header(tmp_path, monkeypatch, fixture):
    code, found = run(tmp_path, monkeypatch, fixture)
    header = fits.getheader(found["files"]["output"], 2 if found["status"] == "converged" else 0)
    assert code == 0
    assert [found[word] for word in ("ndof", "nfree", "nfix")] == [header[word] for word in ("NDOF", "NFREE", "NFIX")]
    assert found["chi2"] == pytest.approx(header["CHISQ"])
    assert found["flags"] == header["FLAGS"].split()
    shown = {}
    for component in found["components"]:
        assert header[f"COMP_{component['number']}"].strip() == component["type"]
        shown |= {p["header"]: p for p in component["parameters"].values() if p["header"]}
    for keyword, parameter in shown.items():
        text = header[keyword]
        value, *error = (float(number) for number in re.sub(r"[][{}*]|\+/-", " ", text).split())
        assert parameter["value"] == pytest.approx(value, rel=1e-3, abs=6e-5)
        assert parameter["state"] == ("tied" if "{" in text else "fixed" if "[" in text else "free")
        assert parameter["suspicious"] == ("*" in text)
        if found["status"] == "converged" and error:
            assert parameter["error"] == pytest.approx(*error, rel=1e-3, abs=6e-5)


def test_covariance_gives_the_standard_errors(tmp_path, monkeypatch):
    _, found = run(tmp_path, monkeypatch, "tied")
    words, matrix = found["covariance"]["parameters"], np.array(found["covariance"]["matrix"])
    assert len(words) == found["nfree"] == len(matrix)
    for word, variance in zip(words, np.diag(matrix), strict=True):
        number, _, name = word.partition("_")
        parameter = found["components"][int(number) - 1]["parameters"][name]
        assert parameter["standard_error"] == pytest.approx((variance * found["chi2nu"]) ** 0.5)


def test_a_fit_without_solution_says_so(tmp_path, monkeypatch, capsys):
    code, found = run(
        tmp_path, monkeypatch, "example", edit=lambda text: re.sub(r"(?m)^ *0\) sky(.|\n)*", "", text) + DOUBLE
    )
    assert code == 1
    assert (found["solution"], found["status"]) == (False, "singular")
    assert found["files"]["output"] is None and found["files"]["restart"] is None
    assert found["warnings"] == capsys.readouterr().err.splitlines()
    assert not list(Path().glob("galfit.0*")) and not Path("imgblock.fits").exists()


DOUBLE = "".join(" 0) sky\n 1) 1.0 1\n 2) 0 0\n 3) 0 0\n Z) 0\n" for _ in range(2))


@pytest.mark.parametrize(
    ("option", "name", "status"), [("-o1", "imgblock.json", "model_only"), ("-o3", "subcomps.json", "model_only")]
)
def test_is_named_after_the_output(tmp_path, monkeypatch, option, name, status):
    code, found = run(tmp_path, monkeypatch, "example", option)
    assert (code, found["status"], found["files"]["restart"]) == (0, status, None)
    assert Path(name).is_file()


@pytest.mark.parametrize(
    ("output", "name"),
    [("a.fits", "a.json"), ("b/a.fit", "b/a.json"), ("a.fits.gz", "a.json"), ("a.b", "a.b.json"), ("A.FITS", "A.json")],
)
def test_file_name(output, name):
    assert record.file_name(output) == name


def test_nothing_but_wrong_input_leaves_none(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path(MENU).write_text("A) none\nB) out.fits\nH) 1 10 1\n0) sersic\n")
    assert main(["--json", MENU]) == 2
    assert [path.name for path in tmp_path.iterdir()] == [MENU]


def test_every_word_is_documented(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "json.md").read_text()
    _, found = run(tmp_path, monkeypatch, "tied")
    component = found["components"][0]
    words = {*found, *found["files"], *found["covariance"], *component, *component["parameters"]["xc"]}
    assert [word for word in sorted(words) if f"`{word}`" not in text] == []
