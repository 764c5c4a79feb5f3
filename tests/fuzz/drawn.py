"""Inputs of a target: its seeds, changed by edits, drawn by hypothesis or by a random generator."""

from __future__ import annotations

import random
from pathlib import Path

import corpus
import edits
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

LARGEST = 2**16

# Not in the folder where inputs are tried.
set_hypothesis_home_dir(Path.cwd() / ".hypothesis")


def seeds(target: str) -> tuple[bytes, ...]:
    """What the inputs of a target are made from."""
    match target:
        case "menu" | "command":
            return corpus.menus() if target == "menu" else (corpus.MENU, corpus.HIDDEN)
        case "constraints":
            return corpus.LIMITS
        case "mask_list":
            return corpus.MASK_LISTS
        case "kernel":
            return corpus.KERNELS
        case "name":
            return corpus.NAMES
        case "arguments":
            return corpus.OPTIONS
        case "mask":
            return corpus.masks()
        case "packed":
            return corpus.compressed()
        case "results":
            return corpus.results()
    return corpus.images()


def kinds(target: str) -> tuple[edits.Edit, ...]:
    """The edits that suit a target."""
    own = {
        "menu": edits.MENUS,
        "command": edits.MENUS,
        "constraints": edits.LIMITS,
        "mask_list": edits.NUMERIC,
        "kernel": edits.NUMERIC,
        "name": edits.FILE_NAMES,
        "arguments": edits.ARGUMENTS,
        "results": edits.RESULTS,
    }
    return own.get(target, edits.FITS)


def inputs(target: str) -> st.SearchStrategy[bytes]:
    """Seeds after up to six edits."""
    number = st.integers(0, LARGEST)
    steps = st.lists(st.tuples(st.sampled_from(kinds(target)), number, number), max_size=6)
    return st.builds(edits.apply, st.sampled_from(seeds(target)), steps)


def mutated(data: bytes, target: str, rng: random.Random) -> bytes:
    """An input after one edit or a few."""
    number = rng.randrange
    steps = [
        (rng.choice(kinds(target)), number(LARGEST), number(LARGEST)) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 6)))
    ]
    return edits.apply(data, steps)
