"""A long run of one fuzz target, or inputs that failed, once more.

    python tests/fuzz/run.py --target menu --inputs 300000 --out failures
    python tests/fuzz/run.py --target menu --replay failures/*

Each kind of failure (what was raised, and where) is kept once, in the folder of --out, as the input and a ``.txt`` with
the traceback; targets with compiled code also leave the last input there, should the process die.  Exit code 1: there
were failures.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

BATCH = 5000
"""Inputs of one run of hypothesis, which remembers them all."""


FOREIGN = ("packed", "check", "command")
"""Targets that run other programs' compiled code, which may end the process."""


class Recorder:
    """Counts inputs and keeps those that fail.

    Args:
        name: of the target.
        out: folder for inputs that fail; None: they are only counted.
    """

    def __init__(self, name: str, out: Path | None) -> None:
        from targets import TARGETS

        self.name, self.out, self.target = name, out, TARGETS[name]
        self.inputs = self.accepted = 0
        self.slowest = 0.0
        self.failures: Counter[str] = Counter()
        self.start = time.monotonic()
        self.current: Path | None = None
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            self.current = out / f"{name}-current" if name in FOREIGN else None

    def __call__(self, data: bytes) -> None:
        self.inputs += 1
        if self.current is not None:
            self.current.write_bytes(data)
        start = time.perf_counter()
        try:
            self.accepted += self.target(data)
        except Exception as error:
            self.keep(data, error)
        self.slowest = max(self.slowest, time.perf_counter() - start)

    def keep(self, data: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)[-2:]
        where = " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        words = re.sub(r"[\d.]+", "N", str(error))[:60] if isinstance(error, AssertionError) else ""
        kind = f"{type(error).__name__} {words} {where}"
        self.failures[kind] += 1
        if self.failures[kind] > 1:
            return
        print(f"{self.name}: {kind}: {str(error)[:200]!r}", flush=True)
        if self.out is not None:
            path = self.out / f"{self.name}-{hashlib.sha256(kind.encode()).hexdigest()[:8]}"
            path.write_bytes(data)
            text = "".join(traceback.format_exception(error))
            path.with_name(f"{path.name}.txt").write_text(text, errors="backslashreplace")

    def report(self) -> int:
        """Print what has been counted; 1 if there were failures."""
        seconds = time.monotonic() - self.start
        print(
            f"{self.name}: {self.inputs} inputs in {seconds:.0f} s, {self.accepted} accepted, slowest "
            f"{self.slowest:.2f} s, {sum(self.failures.values())} failures of {len(self.failures)} kinds",
            flush=True,
        )
        for kind, count in self.failures.most_common():
            print(f"{count:>8} {kind}")
        return bool(self.failures)


def with_hypothesis(recorder: Recorder, inputs: int, seed: int) -> int:
    import drawn
    import hypothesis

    for begin in range(0, inputs, BATCH):
        settings = hypothesis.settings(
            max_examples=min(BATCH, inputs - begin),
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
            deadline=None,
            database=None,
        )
        hypothesis.seed(f"{seed} {begin}")(settings(hypothesis.given(drawn.inputs(recorder.name))(recorder.__call__)))()
    return recorder.report()


def at_random(recorder: Recorder, inputs: int, seed: int) -> int:
    """The same edits without hypothesis or coverage: two to four times as many inputs a second."""
    import drawn

    rng, seeds = random.Random(seed), drawn.seeds(recorder.name)
    for _ in range(inputs):
        recorder(drawn.mutated(rng.choice(seeds), recorder.name, rng))
    return recorder.report()


def with_atheris(recorder: Recorder, inputs: int, seed: int) -> int:
    """Mutations led by coverage: half of them ours, half of them libFuzzer's.  Ends the process."""
    import atheris
    import drawn

    def one(data: bytes) -> None:
        recorder(data)
        if recorder.inputs >= inputs:
            code = recorder.report()
            sys.stdout.flush()
            os._exit(code)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.5:
            return drawn.mutated(data, recorder.name, rng)[:most]
        changed: bytes = atheris.Mutate(data, most)
        return changed

    with tempfile.TemporaryDirectory() as folder:
        for i, data in enumerate(drawn.seeds(recorder.name)):
            Path(folder, str(i)).write_bytes(data)
        flags = [f"-seed={seed + 1}", "-max_len=100000", "-timeout=300", "-verbosity=0", "-handle_alrm=0"]
        atheris.Setup([sys.argv[0], *flags, folder], one, custom_mutator=mutate)
        atheris.Fuzz()
    return 1


ENGINES = {"hypothesis": with_hypothesis, "atheris": with_atheris, "random": at_random}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True)
    parser.add_argument("--inputs", type=int, default=10000)
    parser.add_argument("--engine", choices=ENGINES, default="hypothesis")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE")
    asked = parser.parse_args()
    if asked.engine == "atheris":
        import atheris

        # Before the target imports them.
        with atheris.instrument_imports(include=["galfeed"]):
            import targets
    else:
        import targets
    import drawn  # noqa: F401, where it is found that hypothesis keeps its files

    if asked.target not in targets.TARGETS:
        parser.error(f"unknown target {asked.target}, expected one of {', '.join(targets.TARGETS)}")
    out = None if asked.out is None else asked.out.resolve()
    recorder = Recorder(asked.target, out)
    replayed = [path.read_bytes() for path in asked.replay or ()]
    with targets.at_work():
        if asked.replay:
            for data in replayed:
                recorder(data)
            return recorder.report()
        return ENGINES[asked.engine](recorder, asked.inputs, asked.seed)


if __name__ == "__main__":
    sys.exit(main())
