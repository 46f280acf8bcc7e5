"""What every test runs under. Fixtures of the product's own live in `tests/support`."""

from __future__ import annotations

pytest_plugins = ["pytester", "tests.skip_policy", "tests.leak_guard", "tests.worlds"]
