"""Time and memory of what the main process of a batch knows of its jobs, and of the catalogue at its end.

    python benchmarks/catalogue.py JOURNAL [--number 100000 1000000] [--format fits csv]

JOURNAL is that of a batch that is done.  Its jobs are repeated until there are so many; each figure is of a process
of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import batch

from galfeed.survey import catalog
from galfeed.survey.state import State

INDICES = ("intent", "done", "failed")


def repeated(journal: Path, number: int) -> Iterator[str]:
    """Lines of a journal of so many jobs."""
    head, *lines = filter(None, journal.read_text().splitlines())
    jobs: dict[int, list[dict[str, object]]] = {}
    for record in map(json.loads, lines):
        jobs.setdefault(next(record[word] for word in INDICES if word in record), []).append(record)
    yield head
    for index in range(number):
        for record in jobs[index % len(jobs)]:
            yield "\n" + json.dumps(
                {word: index if word in INDICES else value for word, value in record.items()}, separators=(",", ":")
            )


def megabytes() -> float:
    """The most that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(journal: Path, kind: str) -> list[float]:
    """MB at first, s and MB of reading the journal, s and MB of writing the catalogue."""
    catalog.prepare()
    found = [megabytes()]
    start = time.perf_counter()
    state = State(journal)
    found += [time.perf_counter() - start, megabytes()]
    start = time.perf_counter()
    catalog.write(str(journal.with_suffix(f".{kind}")), filter(None, state.rows(range(len(state.ended)))))
    return [*found, time.perf_counter() - start, megabytes()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("journal", type=Path)
    parser.add_argument("--number", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument(
        "--format", nargs="+", default=["fits", "csv"], choices=[k.lstrip(".") for k in catalog.FORMATS]
    )
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in options.number:
            journal = Path(folder) / "journal"
            with journal.open("w") as stream:
                stream.writelines(repeated(options.journal, number))
            for kind in options.format:
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found = pool.apply(measured, (journal, kind))
                size = journal.with_suffix(f".{kind}").stat().st_size / 2**20
                rows.append([str(number), kind, *(f"{each:.1f}" for each in found), f"{size:.0f}"])
    head = [
        "jobs",
        "catalogue",
        "MB at first",
        "s of reading",
        "MB then",
        "s of writing",
        "MB at most",
        "MB of catalogue",
    ]
    print(f"{batch.about()}\n\n{batch.table(head, rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
