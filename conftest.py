"""What every test gets, in tests/ and in plugins/*/tests: isolation, a guard of event loops, a summary by section."""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from enopax_core.testing.loop import LoopWatch

# ── Isolation ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session", autouse=True)
def _neutral_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the person who runs the tests reaches them: not of Enopax, nor of Git, nor that of a shell's background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # which every child would inherit, and not hear of an interruption
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings = tmp_path_factory.mktemp("git") / "config"
    settings.write_text("[user]\nname = Test\nemail = test@example.org\n[init]\ndefaultBranch = main\n")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("ENOPAX_", "GIT_"))]:
            patch.delenv(name)
        patch.setenv("GIT_CONFIG_GLOBAL", str(settings))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_TERMINAL_PROMPT", "0")
        yield


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty data directory of an installation, which nobody has made yet.

    Not in `tmp_path`: each session of pytest by the same user takes from the folder above all of them what a server run by
    root has granted there, passing through for the user that its services run as.
    """
    with tempfile.TemporaryDirectory(prefix="enopax-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "data"


# ── Event loops ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio alone, as the server does."""
    return "asyncio"


LIMIT = 1.0  # seconds without a sign of life of the loop that fail a test


@pytest.fixture
async def _loop_watch(anyio_backend: str) -> AsyncIterator[None]:
    watch = LoopWatch(LIMIT)
    yield
    watch.stop()
    if watch.blocked_at:
        pytest.fail(f"The event loop was blocked for more than {LIMIT:.0f} s, here:\n{watch.blocked_at}", pytrace=False)


@pytest.fixture(autouse=True)
def _watched_loop(request: pytest.FixtureRequest) -> None:
    """Fail an asynchronous test that blocks its event loop, and with it every other request of a server."""
    if "anyio_backend" in request.fixturenames and request.node.get_closest_marker("blocking") is None:
        request.getfixturevalue("_loop_watch")


# ── Summary ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Sections:
    """Counts and adds up test time by section: tests/unit, tests/integration, plugins/enopax_git and so on."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        section = "/".join(report.nodeid.split("/")[:2])
        self.seconds[section] += report.duration
        if report.when == "call" or not report.passed:
            self.outcomes[section][report.outcome] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if len(self.seconds) < 2:
            return
        terminalreporter.section("sections")
        for section, seconds in self.seconds.items():
            counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes[section].items()))
            terminalreporter.write_line(f"{section:<28}{seconds:8.1f} s  {counts}")


def pytest_configure(config: pytest.Config) -> None:
    """Register the summary."""
    config.pluginmanager.register(Sections(), "enopax-sections")
