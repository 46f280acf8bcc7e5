"""Rows of results: built from figures, printed as a table, written as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.alternate import Figures, Key
from benchmarks.cases import PEERS, Case, Ours
from benchmarks.environment import Environment

UNAVAILABLE = "unavailable"
COLUMNS = ("case", "peer", "ours", "theirs", "unit", "ratio", "must")

Row = dict[str, Any]


def rows(case: Case, figures: Mapping[Key, Figures], environment: Environment) -> list[Row]:
    """One row for each of our ways and each peer."""
    return [
        _row(case, way, peer, figures[way.side, way.case], figures[PEERS[peer].side, case.ours[0].case], environment)
        for way in case.ours
        for peer in case.peers
    ]


def _row(case: Case, way: Ours, peer: str, ours: Figures, theirs: Figures, environment: Environment) -> Row:
    names = {f"our {way.case}": ours, f"{peer}'s {case.ours[0].case}": theirs}
    notes = [f"{name}: {note}" for name, figures in names.items() if (note := _note(case, figures))]
    return {
        "name": way.name,
        "peer": peer,
        "ours": UNAVAILABLE if ours.median is None else ours.median,
        "theirs": UNAVAILABLE if theirs.median is None else theirs.median,
        "ratio": _ratio(case, ours.median, theirs.median),
        "must": way.must.get(peer),
        "bound": way.bound,
        "bounded": _bounded(case, ours),
        "unit": case.unit,
        "better": case.better,
        "versions": _versions(peer, environment),
        "runs": {"ours": ours.runs, "theirs": theirs.runs},
        "note": "; ".join(notes) or None,
    }


def _bounded(case: Case, ours: Figures) -> float | None:
    """The figure that a bound is for: our median, or our worst run where every run counts."""
    if ours.median is None or not case.show_runs:
        return ours.median
    return max(ours.runs) if case.better == "lower" else min(ours.runs)


def _note(case: Case, figures: Figures) -> str | None:
    if figures.reason is None and case.show_runs:
        return f"{case.unit}, each run: {', '.join(_number(run) for run in figures.runs)}"
    return figures.reason


def _ratio(case: Case, ours: float | None, theirs: float | None) -> float | None:
    """Above 1 where ours is better, whichever way the unit points; None where one of them is missing or zero."""
    if not ours or not theirs:
        return None
    return ours / theirs if case.better == "higher" else theirs / ours


def _versions(peer: str, environment: Environment) -> dict[str, str]:
    names = ("python", "edri-sim", "uvloop", *PEERS[peer].distributions)
    return {name: environment.versions[name] for name in names if name in environment.versions}


def write(path: Path, results: Iterable[Row]) -> None:
    """Write the rows as a JSON list."""
    path.write_text(json.dumps(list(results), indent=2) + "\n")


def table(results: Iterable[Row]) -> str:
    """The rows as text, in aligned columns, with what is unavailable explained below."""
    results = list(results)
    lines = [COLUMNS, *(_cells(row) for row in results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    text = ["  ".join(_align(cell, width, index) for index, (cell, width) in enumerate(zip(line, widths, strict=True)))
            for line in lines]  # fmt: skip
    notes = dict.fromkeys(note for row in results if row["note"] for note in row["note"].split("; "))
    return "\n".join([*(line.rstrip() for line in text), *notes])


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row["name"],
        row["peer"],
        _number(row["ours"]),
        _number(row["theirs"]),
        row["unit"],
        "-" if row["ratio"] is None else f"{row['ratio']:.2f}",
        _must(row),
    )


def _must(row: Row) -> str:
    verdicts = []
    if row["must"] is not None:
        verdicts.append(f"{row['must']:.3g}: {_verdict(row['ratio'], row['must'], 'higher')}")
    if row["bound"] is not None:
        verdict = _verdict(row["bounded"], row["bound"], row["better"])
        verdicts.append(f"{row['bound']:g} {row['unit']}: {verdict}")
    return ", ".join(verdicts)


def _verdict(value: float | None, bound: float, better: str) -> str:
    if value is None:
        return "not known"
    return "met" if value == bound or (value > bound) == (better == "higher") else "MISSED"


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.2f}" if 0 < value < 10 else f"{value:,.1f}" if 0 < value < 1_000 else f"{value:,.0f}"


def _align(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if COLUMNS[column] in ("ours", "theirs", "ratio") else cell.ljust(width)
