"""Who may import whom.  The tables below are the architecture; the import statements must agree with them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import galfeed

PACKAGE = Path(galfeed.__file__).parent
FIXTURES = Path(__file__).parents[1] / "compat_fixtures"

# From bottom to top: a module imports only what is named beside it, and that stands above it in this table.
MAY_IMPORT = {
    # records
    "errors": "",
    "job": "errors",
    "result": "job",
    "profiles": "job",
    "model.romberg": "",
    "model.shape": "job model.romberg",
    # language
    "feedme.grammars": "",
    "model.truncation": "job model.shape profiles",
    "tables": "job profiles model.shape model.truncation",
    "feedme.menu": "job profiles model.shape model.truncation",
    "feedme.block": "errors job",
    "feedme.consistency": "errors job profiles",
    "feedme.reader": "feedme.block feedme.consistency errors feedme.grammars job feedme.menu profiles",
    "feedme": "feedme.menu feedme.reader",
    "model.hygiene": "job profiles",
    "feedme.agreement": "job model.hygiene tables",
    "feedme.constraints": "errors feedme.agreement feedme.grammars tables job",
    "model.supported": "errors job",
    # images
    "images.fitsname": "errors",
    "images.fitsfile": "errors images.fitsname",
    "images.inputs": "errors images.fitsfile job",
    "images.masks": "errors images.fitsfile images.inputs",
    "images.sigma": "",
    "images.weights": "errors images.inputs images.sigma",
    "images.exposure": "errors images.fitsfile images.inputs job images.masks images.weights",
    "images": "images.exposure",
    # model and fit
    "model": "",
    "fit.couplings": "",
    "fit.damping": "",
    "fit.lm": "fit.couplings fit.damping result",
    "model.psf": "",
    "model.host": "",
    "model.convolve": "model.host model.psf",
    "model.light": "profiles model.shape model.truncation",
    "model.pixels": "model.light profiles model.romberg model.shape",
    "model.exact": "model.pixels",
    "model.enclosed": "model.light",
    "model.ellipse": "model.light model.shape profiles",
    "model.near": "model.ellipse model.host model.light model.pixels model.romberg profiles",
    "model.spline": "model.psf",
    "model.frame": "model.convolve model.host model.light model.psf model.spline",
    "model.plain": "model.convolve model.ellipse model.frame model.host model.near profiles",
    "model.render": "model.convolve model.exact model.frame model.host model.light model.pixels model.plain profiles "
    "model.psf model.shape",
    "model.scene": "images.exposure job model.ellipse model.frame model.host model.light profiles model.psf "
    "model.render model.shape model.truncation",
    "fit.params": "job fit.couplings fit.lm model.hygiene model.scene",
    "fit.final": "fit.params job model.hygiene",
    "fit.equations": "fit.couplings fit.lm model.frame model.host model.scene model.shape",
    "output.marks": "job profiles",
    "fit.covariance": "fit.lm",
    "fit.problem": "fit.equations fit.final fit.params images.exposure job model.hygiene model.light model.scene "
    "model.shape model.supported output.marks result",
    "fit.attempts": "fit.lm fit.params model.psf result model.scene",
    "fit.results": "fit.covariance fit.equations fit.lm fit.params fit.problem job model.shape result",
    "fit.batch": "fit.attempts fit.damping fit.equations fit.lm fit.params fit.problem fit.results "
    "model.host model.scene result",
    "fit.doubts": "images.exposure job model.enclosed model.frame model.psf model.render model.scene",
    "fit": "fit.batch fit.doubts fit.problem",
    "machine": "fit",
    # outputs
    "output": "",
    "output.fitscard": "",
    "output.header": "output.fitscard tables job output.marks profiles result",
    "output.imgblock": "output.fitscard output.header result",
    "output.fitlog": "output.header tables job output.marks model.truncation result",
    "output.record": "tables job output.header output.marks result",
    "output.report": "output.fitlog output.header job output.marks result",
    "output.files": "errors",
    "output.restart": "errors output.files",
    "output.names": "output.fitlog output.record",
    "options": "errors output.names",
    "clock": "",
    # a look before a run
    "check.menus": "errors job tables",
    "check.noise": "errors images.exposure images.sigma job",
    "check.psfs": "errors images.exposure job",
    "check.pictures": "check.noise errors images.exposure images.inputs images.masks images.sigma job profiles",
    "check": "check.menus check.noise check.pictures check.psfs errors feedme feedme.constraints images "
    "images.exposure images.fitsname images.inputs job model.supported options output.files output.names",
    # runs
    "onejob": "errors feedme feedme.constraints feedme.menu fit images job model.supported options output.files "
    "output.fitlog output.header output.imgblock output.names output.record output.restart result",
    "survey.entries": "errors options output.files",
    "survey.rows": "job onejob output.header output.names output.record result survey.entries tables",
    "survey.catalog": "errors output.files survey.rows",
    "survey.state": "errors output.fitlog survey.rows",
    "survey.journal": "errors options output.files survey.entries survey.rows survey.state",
    "survey.numbers": "onejob output.files output.fitlog output.restart survey.journal survey.rows survey.state",
    "survey.parcel": "",
    "survey.devices": "errors",
    "survey.stages": "clock errors fit onejob options result survey.entries survey.journal survey.numbers survey.rows "
    "survey.state",
    "survey.worker": "clock errors machine onejob options survey.entries survey.journal survey.parcel survey.stages",
    "survey.turns": "survey.entries",
    "survey.process": "options survey.journal survey.parcel survey.stages survey.worker",
    "survey.pool": "clock errors machine options survey.entries survey.journal survey.parcel survey.process "
    "survey.rows survey.stages survey.state survey.turns survey.worker",
    "survey": "errors options survey.catalog survey.devices survey.entries survey.journal survey.pool survey.rows "
    "survey.stages survey.state survey.worker",
    "cli": "check clock errors feedme.menu fit machine onejob options output.names output.report result survey "
    "survey.devices",
    "__main__": "cli",
    # reading back
    "readback.record": "errors job",
    "readback.words": "job model.shape output.fitlog profiles tables",
    "readback.fitlog": "errors job output.fitlog readback.record readback.words",
    "readback.cards": "errors images.fitsfile output.fitscard readback.record",
    "readback.header": "errors output.fitscard readback.cards readback.fitlog readback.record readback.words",
    "readback.bands": "errors job output.header readback.record readback.words",
    "readback.menu": "errors feedme feedme.block job output.header readback.bands readback.record readback.words",
    "readback": "errors images.fitsfile readback.cards readback.fitlog readback.header readback.menu readback.record",
    "__init__": "readback",
}
# Who imports a library; numpy is free to all.
LIBRARIES = {
    "astropy": {"images.fitsfile", "survey.catalog"},
    "pyarrow": {"survey.catalog"},
    "lark": {"feedme.grammars", "feedme.reader", "feedme.constraints"},
    "torch": {
        f"fit.{m}"
        for m in (
            "attempts",
            "batch",
            "couplings",
            "damping",
            "doubts",
            "equations",
            "lm",
            "params",
            "problem",
            "results",
        )
    }
    | {
        f"model.{m}"
        for m in (
            "convolve",
            "ellipse",
            "enclosed",
            "exact",
            "frame",
            "host",
            "light",
            "near",
            "pixels",
            "plain",
            "psf",
            "render",
            "scene",
            "spline",
        )
    }
    | {"machine", "profiles"},  # profiles: inside a function
}


def modules() -> dict[str, list[Path]]:
    """Files by dotted name below the package; a package goes by its face, and all profiles are one module."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = "profiles" if parts[0] == "profiles" else ".".join(parts).removesuffix(".__init__")
        found.setdefault(name, []).append(path)
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of what is imported at run time, wherever the statement stands."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported(node)


def imports(module: str) -> set[tuple[str, str]]:
    """(library, module of the table below it) of all files of a module."""
    names = {name for path in modules()[module] for name in imported(ast.parse(path.read_text()))}
    return {(name.split(".")[0], below(name)) for name in names}


def below(name: str) -> str:
    """The longest beginning of a dotted name that is in the table: "feedme.menu" of galfeed.feedme.menu.dump."""
    parts = name.split(".")[1:]
    begins = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((begin for begin in begins if begin in MAY_IMPORT), "")


def test_the_table_names_every_module():
    assert set(MAY_IMPORT) == set(modules())


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_imports_only_what_the_table_allows(module):
    allowed = set(MAY_IMPORT[module].split())
    above = list(MAY_IMPORT)[: list(MAY_IMPORT).index(module)]
    assert allowed <= set(above), "the table is not in order"
    used = {name for library, name in imports(module) if library == "galfeed"} - {module}
    assert used - {""} <= allowed


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_libraries(module):
    used = {library for library, _ in imports(module)} - sys.stdlib_module_names
    allowed = {library for library, users in LIBRARIES.items() if module in users}
    assert used <= allowed | {"galfeed", "numpy"}


def loaded_by(*arguments: str) -> tuple[int, set[str]]:
    """Exit code of the command line and the libraries it has imported."""
    script = "import sys, galfeed.cli; code = galfeed.cli.main(sys.argv[1:]); print(code, *sys.modules)"
    run = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    code, *names = run.stdout.splitlines()[-1].split()
    return int(code), {name.split(".")[0] for name in names}


def test_help_is_quick():
    code, loaded = loaded_by("-help")
    assert code == 0
    assert not loaded & {"torch", "astropy"}


def test_check_is_quick():
    code, loaded = loaded_by("check", *(str(FIXTURES / case / "galfit.feedme") for case in ("example", "no_psf")))
    assert code == 0
    assert not loaded & {"torch", "astropy"}


def test_a_bad_menu_is_refused_quickly(tmp_path):
    menu = tmp_path / "bad.feedme"
    menu.write_text("A) image.fits\nH) 1 10 1\n0) sersic\n")
    code, loaded = loaded_by(str(menu))
    assert code == 2
    assert "lark" in loaded
    assert not loaded & {"torch", "astropy"}
