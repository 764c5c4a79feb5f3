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

# From bottom to top: a module imports only what is named beside it, and that stands above it in this table.
MAY_IMPORT = {
    # records
    "__init__": "",
    "errors": "",
    "job": "",
    "result": "job",
    "profiles": "job",
    "shape": "job",
    # language
    "grammars": "",
    "hidden": "job profiles shape",
    "menu": "hidden job profiles shape",
    "block": "job",
    "feedme": "block errors grammars job menu profiles",
    "constraints": "errors grammars hidden job",
    "options": "errors",
    "supported": "errors job profiles",
    # images
    "fitsname": "errors",
    "fitsfile": "errors fitsname",
    "inputs": "errors fitsfile job",
    "masks": "errors fitsfile inputs",
    "sigma": "",
    "weights": "errors inputs sigma",
    "images": "errors fitsfile inputs job masks weights",
    # model and fit
    "lm": "result",
    "psf": "",
    "convolve": "psf",
    "pixels": "profiles",
    "render": "convolve pixels profiles psf shape",
    "scene": "images job profiles psf render shape supported",
    "params": "errors job lm scene",
    "hygiene": "job profiles",
    "marks": "job profiles",
    "attempts": "lm params psf result scene",
    "fit": "attempts hygiene images job lm marks params render result scene",
    # outputs
    "fitscard": "",
    "header": "fitscard hidden job marks profiles result",
    "imgblock": "fitscard header result",
    "fitlog": "header hidden job marks result",
    "report": "fitlog header job marks result",
    "files": "errors",
    "restart": "errors files",
    "cli": "constraints errors feedme files fit fitlog images imgblock menu options report restart result supported",
    "__main__": "cli",
}
# Who imports a library; numpy is free to all.
LIBRARIES = {
    "astropy": {"fitsfile"},
    "lark": {"grammars", "feedme", "constraints"},
    "torch": {"attempts", "cli", "convolve", "fit", "lm", "params", "pixels", "psf", "render", "scene"},
}


def modules() -> dict[str, list[Path]]:
    """Files by the first name below the package; all profiles are one module."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found.setdefault(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), []).append(path)
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
    """(library, first name below it) of all files of a module."""
    names = {name for path in modules()[module] for name in imported(ast.parse(path.read_text()))}
    return {(name.split(".")[0], (name.split(".") + [""])[1]) for name in names}


def test_the_table_names_every_module():
    assert set(MAY_IMPORT) == set(modules())


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_imports_only_what_the_table_allows(module):
    allowed = set(MAY_IMPORT[module].split())
    above = list(MAY_IMPORT)[: list(MAY_IMPORT).index(module)]
    assert allowed <= set(above), "the table is not in order"
    used = {name for library, name in imports(module) if library == "galfeed"} - {module}
    assert used & set(MAY_IMPORT) <= allowed


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


def test_a_bad_menu_is_refused_quickly(tmp_path):
    menu = tmp_path / "bad.feedme"
    menu.write_text("A) image.fits\nH) 1 10 1\n0) sersic\n")
    code, loaded = loaded_by(str(menu))
    assert code == 2
    assert "lark" in loaded
    assert not loaded & {"torch", "astropy"}
