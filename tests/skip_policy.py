"""A skip is always counted, with its reason; under EDRI_REQUIRE_ALL=1 it is a failure."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator

import pytest

Report = pytest.TestReport | pytest.CollectReport


def reason(report: Report) -> str:
    """Why a report was skipped, without the place."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def refuse_skip(report: Report) -> None:
    """Turn a skip into a failure where everything is required; an expected failure, `skipped` too, may stay."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("EDRI_REQUIRE_ALL") == "1":
        report.longrepr = f"skipped, but EDRI_REQUIRE_ALL=1 requires everything: {reason(report)}"
        report.outcome = "failed"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = Counter(reason(report) for report in terminalreporter.stats.get("skipped", ()))
    terminalreporter.section("skipped", sep="-")
    terminalreporter.line(f"{reasons.total()} skipped")
    for text, count in reasons.items():
        terminalreporter.line(f"{count:>5} x {text}")
