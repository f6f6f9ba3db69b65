"""What all tests share: which core runs is printed, and a missing program skips or, on demand, fails.

FASTSMTP_TEST_ALL=1 is for machines that are meant to have everything: there a test that is skipped fails the
run.
"""

import os
import shutil
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.tools.fuzzing import usual

settings.register_profile("usual", usual)
settings.load_profile("usual")

ALL = os.environ.get("FASTSMTP_TEST_ALL") == "1"


def require_program(name: str) -> str:
    """The path of the program ``name``, also when it lies in an sbin directory; skips the test when it is
    missing, with the reason, or fails it when FASTSMTP_TEST_ALL=1."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        reason = f"the program {name} is not installed"
        if ALL:
            pytest.fail(f"{reason}, and FASTSMTP_TEST_ALL=1", pytrace=False)
        pytest.skip(reason)
    return path


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which core the tests run on."""
    try:
        from fastsmtp import _core

        core = "compiled" if _core.COMPILED else "plain Python"
    except ImportError as error:
        core = f"none ({error})"
    return [f"fastsmtp core: {core}", f"all tests required: {'yes' if ALL else 'no'}"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything must run, turn a skip into a failure that names the skip's reason."""
    report = yield
    if ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and FASTSMTP_TEST_ALL=1: {reason}"
    return report


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """The same for a file that is skipped as a whole while it is imported."""
    if ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid} was skipped as a whole, and FASTSMTP_TEST_ALL=1: {report.longrepr}"
        )
