"""Measure this package against its peers: `python benchmarks/run.py`, or `make bench`.

Prints a table and writes benchmarks/results.json. Takes about ten minutes once its environment is made.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# As a script this file's own folder is on the path, and not the folder of the package that it belongs to.
sys.path[0] = str(ROOT)

from benchmarks import alternate, environment, report  # noqa: E402
from benchmarks.cases import CASES  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results.json"
ROUNDS = 5
QUICK_ROUNDS = 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure edri-sim against its peers.")
    parser.add_argument("--only", action="append", choices=list(CASES), metavar="CASE",
                        help=f"measure this case alone; may be repeated: {', '.join(CASES)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="one run of each side instead of five: for a first look")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON instead of a table")
    return parser.parse_args()


def main() -> int:
    """Measure, print, and write the results of a whole run; 1 if one of our own sides has no figure."""
    options = arguments()
    try:
        place = environment.prepare()
    except environment.Unusable as reason:
        print(f"no benchmark environment: {reason}", file=sys.stderr)
        return 1
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    names = list(options.only or CASES)
    print(f"cases: {len(names)}, runs of each side: {rounds}", file=sys.stderr, flush=True)
    rows = []
    for name in names:
        figures = alternate.measure(CASES[name], place, rounds, alternate.show_progress)
        rows += report.rows(CASES[name], figures, place)
    alternate.show_progress("")
    print(json.dumps(rows, indent=2) if options.json else report.table(rows))
    if not (options.quick or options.only):  # A part must not replace the whole.
        report.write(RESULTS, rows)
    return int(any(row["ours"] == report.UNAVAILABLE for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
