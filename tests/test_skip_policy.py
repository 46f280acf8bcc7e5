"""The skip policy counts what is skipped, and refuses it where everything is required."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SKIPPING = """
import pytest

def test_runs(): pass
def test_needs_a_browser(): pytest.skip("Chromium is not installed")
@pytest.mark.skipif(True, reason="Python 3.99 is not installed")
def test_needs_a_python(): pass
@pytest.mark.xfail(reason="known", strict=True)
def test_is_expected_to_fail(): assert False
"""

SKIPPED_WHOLE = """
import pytest
pytest.importorskip("no_such_module")
"""


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, require_all: str) -> pytest.RunResult:
    monkeypatch.setenv("EDRI_REQUIRE_ALL", require_all)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester.runpytest_subprocess("-p", "tests.skip_policy", "--continue-on-collection-errors")


def test_skips_are_counted_with_their_reasons(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(test_some=SKIPPING, test_whole=SKIPPED_WHOLE)
    result = run(pytester, monkeypatch, require_all="0")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1, skipped=3, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "3 skipped",
            "*1 x could not import 'no_such_module'*",
            "*1 x Chromium is not installed",
            "*1 x Python 3.99 is not installed",
            "=*1 passed, 3 skipped, 1 xfailed*=",
        ]
    )


def test_no_skip_is_counted_too(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile("def test_runs(): pass")
    run(pytester, monkeypatch, require_all="1").stdout.fnmatch_lines(["0 skipped", "=*1 passed*="])


def test_a_skip_fails_where_everything_is_required(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(SKIPPING)
    result = run(pytester, monkeypatch, require_all="1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["passed"] == 1
    assert result.parseoutcomes()["xfailed"] == 1
    result.stdout.fnmatch_lines(
        [
            "skipped, but EDRI_REQUIRE_ALL=1 requires everything: Python 3.99 is not installed",
            "skipped, but EDRI_REQUIRE_ALL=1 requires everything: Chromium is not installed",
        ]
    )


def test_a_skipped_file_fails_where_everything_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_runs="def test_runs(): pass", test_whole=SKIPPED_WHOLE)
    result = run(pytester, monkeypatch, require_all="1")
    assert result.ret != pytest.ExitCode.OK
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["skipped, but EDRI_REQUIRE_ALL=1*no_such_module*"])
