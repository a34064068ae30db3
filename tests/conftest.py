"""What all tests share: a missing dependency is a failure in CI, and no test writes outside its own folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from partwise.ir import Graph

settings.register_profile("shared", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")  # on a busy machine generation is slow, which says nothing of the test

_ALLOWED_SKIPS = ("no GPU", "no such device here", "no arithmetic", "want root")
"""Reasons that CI accepts: hardware or rights that it does not have, a question that does not apply."""


@pytest.fixture(scope="session")
def cached_llama(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Graph]:
    """The folder of a tiny Llama without weights, and its graph, captured with K/V of 64 tokens."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from partwise.frontends.open import open_model
    from partwise.frontends.source import CaptureOptions
    from tiny_models import LLAMA, write_config

    folder = write_config(tmp_path_factory.mktemp("llama"), LLAMA)
    return folder, open_model(folder, CaptureOptions(cache=64, weights=False)).capture()


_UNTRACED = ("properties", "unit/planning", "e2e")
"""Folders whose tests compute for long in a few loops: measuring coverage there doubles the time of the suite. What
e2e tests set up, and the commands that they start, are measured."""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Coverage is measured by all other tests, which reach the same code."""
    tracer, tests = sys.gettrace(), Path(__file__).parent
    untraced = any(item.path.is_relative_to(tests / folder) for folder in _UNTRACED)
    sys.settrace(None if untraced else tracer)
    yield
    sys.settrace(tracer)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """With `CI=true` a test skipped for a missing dependency has failed."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(allowed in reason for allowed in _ALLOWED_SKIPS):
            report.outcome, report.longrepr = "failed", f"skipped in CI: {reason}"
