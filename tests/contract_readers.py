"""Small readers of GALFIT's outputs, each in the manner of a public program: by word, line, column or expression.

``docs/consumers.md`` names the programs.  A reader takes the folder of a run, with the files ``fit.log``,
``galfit.01``, ``imgblock.fits`` (or ``.gz``) and ``stdout.txt``, and gives what that program would keep; it fails
where the program would.  Nothing here knows galfeed.
"""

from __future__ import annotations

import ast
import re
from itertools import takewhile
from pathlib import Path
from typing import Any

from astropy.io import fits

RULE = "-" * 77
SUCCESS = "Fit summary is now being saved"
FAILURE = "...now exiting to system..."


def log(folder: Path) -> str:
    return (folder / "fit.log").read_text()


def header(folder: Path) -> fits.Header:
    """Of the model, in a block of exactly four HDUs."""
    path = folder / "imgblock.fits"
    with fits.open(path if path.exists() else path.with_suffix(".fits.gz")) as hdus:
        assert len(hdus) == 4
        return hdus[2].header.copy()


def pymorph(folder: Path, bar: bool = False) -> dict[str, Any]:
    """Words by number, after brackets, commas, asterisks and double dashes have become blanks.

    A line that cannot be read so is passed over without a word.
    """
    lines = [re.sub(r"[()\[\],*]|--", " ", line).split() for line in log(folder).splitlines()]
    rest = iter([words for words in lines if words])
    found: dict[str, Any] = {}
    for words in rest:
        try:
            match words[0]:
                case "Init.":
                    found["menu"] = words[4]
                case "Restart":
                    found["restart"] = words[3]
                case "Chi^2/nu":
                    found["chi2nu"] = float(words[2])
                case "Chi^2":
                    found["ndof"] = int(words[5])
                case "sersic" | "expdisk" | "psf" | "sky" as name:
                    found[_role(name, found, bar)] = _pymorph_numbers(words, next(rest))
        except (ValueError, IndexError):
            continue
    return found


def _role(name: str, found: dict[str, Any], bar: bool) -> str:
    if name != "sersic":
        return {"expdisk": "disk", "psf": "point", "sky": "sky"}[name]
    if "bulge" not in found:
        return "bulge"
    if bar and "bar" not in found:
        return "bar"
    return f"neighbour{sum(key.startswith('neighbour') for key in found) + 1}"


def _pymorph_numbers(words: list[str], errors: list[str]) -> dict[str, tuple[float, float]]:
    """Value and error by name."""
    if words[0] == "sky":
        return {"sky": (float(words[4]), float(errors[0]))}
    names = {"sersic": "x y mag re n q pa", "expdisk": "x y mag rs q pa", "psf": "x y mag"}[words[0]].split()
    return {name: (float(words[2 + i]), float(errors[i])) for i, name in enumerate(names)}


def galfitools_log(folder: Path) -> list[Any]:
    """The last entry between lines of 77 dashes: four header lines, pairs of lines up to the sky, two of chi^2."""
    lines = [line.rstrip() for line in log(folder).splitlines() if line.strip()]
    rules = [i for i, line in enumerate(lines) if line == RULE]
    first, last = rules[-2], rules[-1]

    def words(line: str) -> list[str]:
        return re.sub(r"[^A-Za-z0-9.+-]+", " ", line).split()

    sky, sky_errors = words(lines[last - 4]), words(lines[last - 3])
    chi2 = re.sub(r"[^A-Za-z0-9.+]+", " ", lines[last - 2]).split()
    body = takewhile(lambda i: words(lines[i])[0] != "sky", range(first + 5, last))
    rows = [[_number(w) for w in words(lines[i])] for i in body]
    return [
        lines[first + 1 : first + 5],
        [float(w) for w in sky[3:6] + sky_errors[:3]],
        [float(chi2[2]), int(chi2[4]), float(lines[last - 1].split()[2])],
        rows,
    ]


def _number(word: str) -> float | str:
    return float(word) if re.fullmatch(r"[+-]?\d+\.\d+", word) else word


def galfitools_unflagged(folder: Path) -> int:
    """Entries of fit.log without a value in asterisks."""
    return sum("Input image" in entry and not re.search(r"\*[^*\n]+\*", entry) for entry in log(folder).split(RULE))


def galfitools_menu(folder: Path, name: str = "galfit.01") -> list[Any]:
    """A restart file by its labels; what follows ``#`` is cut off first."""
    lines = [line.split("#", 1)[0].split() for line in (folder / name).read_text().splitlines()]
    lines = [words for words in lines if len(words) > 1]
    control = {words[0]: words[1:] for words in lines if re.fullmatch(r"[A-P]\)", words[0])}
    found: list[Any] = [{key: control[key][0] for key in ("A)", "B)", "C)", "D)", "F)", "G)", "O)")}]
    found += [
        [int(w) for key in ("E)", "P)") for w in control[key]],
        [int(w) for k in ("H)", "I)") for w in control[k]],
    ]
    found += [float(w) for key in ("J)", "K)") for w in control[key]]
    component: dict[str, Any] = {}
    for key, *words in lines:
        if key == "0)":
            component = {"0)": words[0]}
            found.append(component)
        elif key == "1)" and component["0)"] != "sky":
            component[key] = [float(words[0]), float(words[1]), int(words[2]), int(words[3])]
        elif re.fullmatch(r"\d+\)", key):
            component[key] = [float(words[0]), int(words[1])]
        elif key == "Z)":
            component[key] = int(words[0])
    return found


def sparcfire_stdout(folder: Path) -> list[Any]:
    """Component lines after the last "Iteration", of a run that the last 50 lines call a success."""
    text = (folder / "stdout.txt").read_text()
    assert succeeded(text)
    found: list[Any] = []
    for line in text.split("Iteration")[-1].splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == "fourier":
            modes = re.findall(r"\((\d+):([^)]*)\)", rest)
            found.append([name.strip(), *((int(n), *ast.literal_eval(f"({pair})")) for n, pair in modes)])
        elif name.strip() in ("sersic", "power", "log", "sky"):
            words = [re.sub(r"[\[*,\]()]", "", word) for word in rest.split()]
            found.append([name.strip(), *(float(word) for word in words if re.search(r"\d", word))])
    return found


def succeeded(stdout: str) -> bool:
    """What the last 50 lines say; one of the two it must be."""
    tail = [line.strip() for line in stdout.split("\n")[-50:]]
    success = any(line.startswith(SUCCESS) for line in tail)
    assert success != any(line.startswith(FAILURE) for line in tail)
    return success


def sparcfire_header(folder: Path) -> list[Any]:
    """Keys by their order, from INITFILE to MAGZPT and from each COMP_n to FLAGS."""
    own = header(folder)
    keys = list(own)
    found: list[Any] = [keys[keys.index("INITFILE") : keys.index("MAGZPT") + 1]]
    found += [list(ast.literal_eval(own["FITSECT"].replace(":", ",")))]
    found += [list(ast.literal_eval(f"({own['CONVBOX']})"))]
    for key in keys[keys.index("COMP_1") : keys.index("FLAGS")]:
        if key.startswith("COMP_"):
            found.append([own[key]])
        elif key != "COMMENT":
            found[-1].append((key, _first(own[key])))
    modes = [key for key in keys if re.fullmatch(r"\d+_F\d", key)]
    assert all(f"{mode}PA" in keys for mode in modes)
    return found


def _first(value: str) -> float | str:
    word = value.strip("[]{}* ").split(" ")[0].strip("*")
    return float(word) if re.match(r"-?\d", word) else word


def sparcfire_restart(folder: Path) -> dict[int, list[str]]:
    """Labels of each block, by the number that ends its title; every line has a label and a comment."""
    blocks = (folder / "galfit.01").read_text().split("# Component number")[1:]
    found = {}
    for block in blocks:
        title, *lines = block.split("\n")
        lines = [line for line in takewhile(lambda line: not line.startswith("==="), lines) if line.strip()]
        assert all("#" in line for line in lines)
        found[int(title[-1])] = [line[: line.index(")")].strip() for line in lines]
    return found


def galfit_python_parser(folder: Path) -> dict[str, Any]:
    """Everything in the header; a value in brackets has no error bar, a value in braces neither."""
    own = header(folder)
    assert any("GALFIT" in line for line in own["COMMENT"])
    inputs = "INITFILE DATAIN SIGMA PSF CONSTRNT MASK FITSECT CONVBOX MAGZPT CHISQ NDOF NFREE CHI2NU".split()
    found: dict[str, Any] = {key: own[key] for key in inputs}
    found["flags"] = own["FLAGS"].split(" ")
    number = 1
    while f"COMP_{number}" in own:
        for key in own:
            if key.startswith(f"{number}_") and not key.endswith("ROTF"):
                bare = own[key].translate(str.maketrans("", "", "[]{}*"))
                held = "[" in own[key] or "{" in own[key]
                found[key] = [float(bare)] if held else [float(w) for w in bare.split()[::2]]
                assert held or bare.split()[1] == "+/-"
                found[key].append("*" in own[key])
        number += 1
    return found


def kibokov(folder: Path) -> list[float]:
    """Magnitudes: what stands before `` +/-``."""
    own = header(folder)
    return [float(own[key][: own[key].index(" +/-")]) for key in own if key.endswith("_MAG")]


def mucho_galfit(folder: Path) -> list[Any]:
    """Fixed keys split at ``+/-``; a single sersic before a sky."""
    own = header(folder)
    keys = "1_XC 1_YC 1_MAG 1_RE 1_N 1_AR 1_PA 2_SKY".split()
    return [[float(w) for w in own[key].split("+/-")] for key in keys] + [float(own["CHI2NU"])]


def morphofit(folder: Path) -> dict[str, list[float]]:
    """Both sides of `` +/- ``; in place of a digit at both ends, a mark that is cut off."""
    own = header(folder)
    keys = [key for key in own if re.fullmatch(r"\d+_(XC|YC|MAG|RE|RS|N|AR|PA|SKY)", key)]
    found = {}
    for key in keys:
        sides = own[key].split(" +/- ")
        found[key] = [float(side if side[-1].isdigit() else side[1:-1]) for side in sides]
    return found


def galapagos(folder: Path) -> dict[str, Any]:
    """Values and errors by the place of ``+/-``; components counted up."""
    own = header(folder)
    found: dict[str, Any] = {key: own[key] for key in "CHISQ NDOF NFREE NFIX CHI2NU PSF".split()}
    for number in range(1, 100):
        if f"COMP_{number}" not in own:
            return found
        for name in "XC YC MAG RE N AR PA".split():
            text = own.get(f"{number}_{name}", "")
            at = text.find("+/-")
            if at >= 0:
                found[f"{number}_{name}"] = [float(part.strip(" *")) for part in (text[:at], text[at + 3 :])]
    raise AssertionError("components without end")


def frb(folder: Path) -> list[list[float]]:
    """Every ``digits.digits`` of the first sersic line and of the one after it: x y mag re n q pa."""
    lines = log(folder).splitlines()
    at = next(i for i, line in enumerate(lines) if "Init. par. file : galfit.feedme" in line)
    here = next(i for i in range(at, at + 10) if "sersic" in lines[i])
    found = [[float(text) for text in re.findall(r"[+-]?\d+\.\d+", line)] for line in lines[here : here + 2]]
    assert [len(numbers) for numbers in found] == [7, 7]
    return found


def jwst_galfit(folder: Path) -> list[float]:
    """Lines 8, 9 and 13 of a log of one entry, of a sersic and a sky."""
    lines = log(folder).splitlines()
    values, errors = lines[7].split()[3:10], lines[8].split()[1:8]
    return [float(word.strip(",)")) for word in values + errors] + [float(lines[12].split()[2])]


def hujh08(folder: Path) -> list[Any]:
    """Names, then goodness by expressions; all other lines in pairs of equally many numbers."""
    found: list[Any] = []
    pairs: list[str] = []
    for line in log(folder).splitlines():
        names = re.findall(r"(Input image|Init\. par\. file|Restart file|Output image)\s+:\s+(\S+)", line)
        goodness = re.findall(r"(Chi\^2|ndof|Chi\^2/nu)\s+=\s+([-+\d.eE]+)", line)
        found += names + [[key, float(value)] for key, value in goodness]
        if line.strip() and not names and not goodness and not line.startswith("-" * 10):
            pairs.append(line)
    assert len(pairs) % 2 == 0
    for line, errors in zip(pairs[::2], pairs[1::2], strict=True):
        name, rest = line.split(":", maxsplit=1)
        numbers = _bracketed(rest)[2 if name.strip() == "sky" else 0 :]
        assert len(numbers) == len(_bracketed(errors))
        found += [[name.strip(), *numbers], _bracketed(errors)]
    return found


def _bracketed(line: str) -> list[float]:
    items = [re.fullmatch(r"[\]\[()*,}{]*([^\]\[()*,}{]*)[\]\[()*,}{]*", word) for word in line.split()]
    return [float(item[1]) for item in items if item and item[1]]


READERS = {
    reader.__name__: reader
    for reader in (
        pymorph, galfitools_log, galfitools_unflagged, galfitools_menu, sparcfire_stdout, sparcfire_header,
        sparcfire_restart, galfit_python_parser, kibokov, mucho_galfit, morphofit, galapagos, frb, jwst_galfit, hujh08,
    )
}  # fmt: skip
