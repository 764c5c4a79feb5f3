"""What a fit would ask of a GPU, counted without one: operations, bytes, and what the host would wait for.

    python benchmarks/launches.py SET [--number 256] [--dtype mixed] [--stand-for 8289] [--rate 4.3] [--launch 5]

A set of make_set.py is fitted on the CPU the way of an accelerator, and every operation of torch is counted with the
bytes that it must read and write; views are not operations.  The estimate says how long a GPU would take for a set so
many times larger, if it moved ``--rate`` TB/s in every operation and the host needed ``--launch`` microseconds for
each: an evaluation takes the longer of both.  It is no measurement: FFTs pass over their planes more than once, and
small operations move less.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import batch
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from galfeed import feedme, fit, images, machine
from galfeed.fit.equations import Asked, Equations, Found
from galfeed.fit.problem import PRECISIONS
from galfeed.model import host

PACKAGE = "galfeed/"
LISTED = 20  # places in the source

VIEWS = {
    *("view", "expand", "slice", "select", "unsqueeze", "squeeze", "alias", "t", "transpose", "permute", "detach"),
    *("as_strided", "unbind", "split", "split_with_sizes", "diagonal", "unfold", "view_as_real", "view_as_complex"),
    *(
        "_conj",
        "empty",
        "empty_like",
        "new_empty",
        "lift_fresh",
        "_unsafe_view",
        "_reshape_alias",
        "_local_scalar_dense",
    ),
}
WAITS = ("nonzero", "_local_scalar_dense", "unique", "masked_select", "bincount", "equal", "is_nonzero")
BY_MASK = ("index", "index_put", "index_put_", "_index_put_impl_")


@dataclass
class Round:
    """One evaluation.  Args: rows: images.  launches, bytes, waits: counted.  places: bytes by place in the source."""

    rows: int
    launches: int = 0
    bytes: int = 0
    waits: int = 0
    places: Counter[str] = field(default_factory=Counter)


class Counted(TorchDispatchMode):
    """Counts the operations of an evaluation."""

    def __init__(self, into: Round) -> None:
        super().__init__()
        self.into = into

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        made = function(*arguments, **(options or {}))
        name = function.__name__.split(".")[0]
        by_mask = name in BY_MASK and any(t is not None and t.dtype is torch.bool for t in arguments[1])
        self.into.waits += by_mask or name.startswith(WAITS)
        if name not in VIEWS:
            # what is written in place is among the arguments, too
            moved = size(arguments) + size(list((options or {}).values())) + (0 if name.endswith("_") else size(made))
            self.into.launches += 1
            self.into.bytes += moved
            self.into.places[place()] += moved
        return made


def size(found: Any) -> int:
    """Bytes of all tensors among what an operation takes or makes."""
    if isinstance(found, Tensor):
        return found.numel() * found.element_size()
    return sum(map(size, found)) if isinstance(found, list | tuple) else 0


def place() -> str:
    """Of galfeed's source, the innermost that is under way."""
    for frame in reversed(traceback.extract_stack(limit=30)):
        if PACKAGE in frame.filename and "benchmarks" not in frame.filename:
            return f"{frame.filename.rsplit(PACKAGE, 1)[1]}:{frame.lineno}"
    return "elsewhere"


def rounds_of(tasks: list[fit.Task], dtype: Any) -> tuple[list[Round], int]:
    """All evaluations of a fit, and how often the host asks for what it must know."""
    found: list[Round] = []
    whole, known, asked = Equations.of, host.known, [0]

    def of(self: Equations, wanted: Asked, *others: Any, **options: Any) -> Found:
        found.append(Round(len(wanted.rows)))
        with Counted(found[-1]):
            return whole(self, wanted, *others, **options)

    def counting(tables: Any) -> Any:
        asked[0] += 1
        return known(tables)

    Equations.of, host.known, host.is_cpu = of, counting, lambda place: False  # type: ignore[method-assign]
    fit.run(tasks, dtype=dtype, together=len(tasks))
    return found, asked[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="folder of make_set.py")
    parser.add_argument("--number", type=int, default=256)
    parser.add_argument("--dtype", choices=PRECISIONS, default="mixed")
    parser.add_argument("--stand-for", type=int, default=8289, help="galaxies of the estimate")
    parser.add_argument("--rate", type=float, default=4.3, help="TB/s; an H200's copy bandwidth by default")
    parser.add_argument("--launch", type=float, default=5.0, help="microseconds of the host for an operation")
    options = parser.parse_args()
    machine.prepare()
    tasks = []
    for menu in sorted(options.set.glob("*/galfit.feedme"))[: options.number]:
        job = feedme.load(menu, menu.name)
        tasks.append(fit.Task(job, images.load(job, menu.parent)))
    print(f"{batch.about()}; {len(tasks)} jobs, {options.dtype}\n")
    rounds, asked = rounds_of(tasks, options.dtype)
    more = options.stand_for / len(tasks)
    seconds = [(1e-12 * one.bytes * more / options.rate, 1e-6 * one.launches * options.launch) for one in rounds]
    rows = [
        [
            f"{one.rows}",
            f"{one.launches}",
            f"{one.bytes / one.rows / 1e6:.1f}",
            f"{one.waits}",
            f"{one.rows * more:.0f}",
            f"{1e3 * moving:.1f}",
            f"{1e3 * launching:.1f}",
        ]
        for one, (moving, launching) in zip(rounds, seconds, strict=True)
    ]
    head = ["images", "operations", "MB an image", "waits", "images of the estimate", "ms of moving", "ms of launching"]
    print(batch.table(head, rows))
    total = Counter[str]()
    for one in rounds:
        total.update(one.places)
    images_all, bytes_all = sum(one.rows for one in rounds), sum(one.bytes for one in rounds)
    print(
        f"\n{len(rounds)} evaluations, {images_all / len(tasks):.1f} of each galaxy, "
        f"{bytes_all / len(tasks) / 1e6:.0f} MB of each; the host asks {asked} times\n\n"
        f"estimate for {options.stand_for}: {sum(map(max, seconds)):.2f} s, "
        f"{sum(m for m, _ in seconds):.2f} of moving, {sum(l for _, l in seconds):.2f} of launching\n"
    )
    listed = [[where, f"{count / images_all / 1e6:.2f}"] for where, count in total.most_common(LISTED)]
    print(batch.table(["place", "MB an image"], listed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
