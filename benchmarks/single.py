"""Wall time and memory of one job, as a pipeline that calls the program once per galaxy sees them.

    python benchmarks/single.py [--job FOLDER] [--galfit PATH] [--repeat 7]

FOLDER holds galfit.feedme and its images; the bundled example by default.  Every run starts a new process in
a new copy of the folder; galfeed and GALFIT alternate.  Prints medians, times in seconds; the phases are what
galfeed records where GALFEED_TIMING names a file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

EXAMPLE = Path(__file__).parents[1] / "compat_fixtures" / "example"
MENU = "galfit.feedme"


def measure(command: list[str], job: Path) -> dict[str, float]:
    """Seconds of wall and CPU time, MB at the peak, and seconds by phase."""
    with tempfile.TemporaryDirectory() as scratch:
        work, timing = shutil.copytree(job, Path(scratch) / "job"), Path(scratch) / "timing.json"
        start = time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=work,
            env=dict(os.environ, GALFEED_TIMING=str(timing)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        if status:
            raise SystemExit(f"{command[0]} ended with exit code {os.waitstatus_to_exitcode(status)}")
        phases = json.loads(timing.read_text()) if timing.exists() else {}
    if phases:
        phases["Python and the rest"] = wall - sum(phases.values())
    memory = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak MB": memory, **phases}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", type=Path, default=EXAMPLE)
    parser.add_argument("--galfit", type=Path, help="GALFIT executable to compare with")
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    commands = {"galfeed": [sys.executable, "-m", "galfeed", MENU]}
    if options.galfit:
        commands["GALFIT"] = [str(options.galfit.resolve()), MENU]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for _ in range(options.repeat):
        for name, command in commands.items():
            runs[name].append(measure(command, options.job))
    print("| | " + " | ".join(runs) + " |\n" + "|---" * (len(runs) + 1) + "|")
    for key in runs["galfeed"][0]:
        cells = [f"{median(run[key] for run in found):.3f}" if key in found[0] else "" for found in runs.values()]
        print(f"| {key} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
