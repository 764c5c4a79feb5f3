"""Compare the oracle's scores with the record beside this file; fail if any of them fell.

    python .ci/score_gate.py score.json            compare
    python .ci/score_gate.py score.json --raise    compare, then raise the record to what was reached

``score.json`` is what the scorer writes with ``--json``.  The record holds, for each group and column, the
number of cases that pass.  It is lowered by hand only, with the reason in the commit.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

RECORD = Path(__file__).with_name("score.json")
COLUMNS = ("pass", "1e-4", "1e-5", "errors", "header", "log", "restart", "gave-up", "better")

Scores = dict[str, dict[str, int]]


def read_scores(path: Path) -> Scores:
    """Cases passed by group and column, from the scorer's table of "passed/judged" or "-"."""
    table = json.loads(path.read_text())["table"]
    return {
        group: {c: int(row[c].split("/")[0]) for c in COLUMNS if row[c] != "-"}
        for group, row in table.items()
        if group != "all"
    }


def fallen(record: Scores, scores: Scores) -> list[str]:
    """One line for each score below the record."""
    return [
        f"{group}: {column} fell from {old} to {new}"
        for group, row in record.items()
        for column, old in row.items()
        if (new := scores.get(group, {}).get(column, 0)) < old
    ]


def raised(record: Scores, scores: Scores) -> Scores:
    """The better of both, score by score."""
    groups = {**record, **scores}
    return {
        group: {
            column: max(rows.get(group, {}).get(column, 0) for rows in (record, scores))
            for column in {**record.get(group, {}), **scores.get(group, {})}
        }
        for group in groups
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path)
    parser.add_argument("--raise", dest="raise_record", action="store_true", help="raise the record")
    options = parser.parse_args()
    scores = read_scores(options.scores)
    record: Scores = json.loads(RECORD.read_text())
    if problems := fallen(record, scores):
        print("\n".join(problems), file=sys.stderr)
        return 1
    if options.raise_record:
        RECORD.write_text(json.dumps(raised(record, scores), indent=1) + "\n")
    print("no score fell below the record")
    return 0


if __name__ == "__main__":
    sys.exit(main())
