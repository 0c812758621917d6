"""Logs and metrics, and that a library configures neither."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from enopax_core.telemetry import NOISY, Metrics, bind, configure_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in NOISY}
    root.handlers = []  # configuring closes the old ones, which are pytest's
    yield io.StringIO()
    root.handlers = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# ── Logs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_importing_enopax_configures_no_logging_and_no_signal() -> None:
    code = """
import logging, signal
before = [signal.getsignal(number) for number in signal.valid_signals()]
import enopax_core.app, enopax_core.telemetry, enopax_core.server.run, enopax_core.cli.serve, enopax_core.core.core
assert not logging.getLogger().handlers, logging.getLogger().handlers
assert logging.getLogger().level == logging.WARNING
ours = [n for n, l in logging.root.manager.loggerDict.items() if n.startswith("enopax") and getattr(l, "handlers", None)]
assert not ours, ours
assert before == [signal.getsignal(number) for number in signal.valid_signals()]
from prometheus_client import REGISTRY
assert not [metric.name for metric in REGISTRY.collect() if metric.name.startswith("enopax")]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_record_carries_the_ids_it_was_made_under(stream: io.StringIO) -> None:
    configure_logging("info", stream)
    log = logging.getLogger("enopax.test")
    with bind(request="r1"):
        with bind(operation="o1", resource=None):
            log.info("inner", extra={"size": 3})
        log.info("middle")
    log.info("outer")
    inner, middle, outer = lines(stream)
    assert (inner["request_id"], inner["operation_id"], inner["size"]) == ("r1", "o1", 3)
    assert "resource_id" not in inner
    assert "operation_id" not in middle
    assert "request_id" not in outer
    assert outer.keys() >= {"time", "level", "logger", "message"}


@pytest.mark.anyio
async def test_tasks_do_not_see_each_others_ids(stream: io.StringIO) -> None:
    configure_logging("info", stream)

    async def work(name: str) -> None:
        with bind(request=name):
            await asyncio.sleep(0)
            logging.getLogger("enopax.test").info(name)

    await asyncio.gather(*(work(f"r{number}") for number in range(5)))
    assert all(line["message"] == line["request_id"] for line in lines(stream))


def test_a_message_of_several_lines_and_a_traceback_are_one_line(stream: io.StringIO) -> None:
    configure_logging("info", stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("enopax.test").exception("It\nfailed.")
    (line,) = lines(stream)
    assert line["message"] == "It\nfailed."
    assert "ValueError: two\nlines" in str(line["exc_info"])


def test_the_level_is_kept_and_noisy_libraries_say_warnings_alone(stream: io.StringIO) -> None:
    configure_logging("debug", stream)
    for name in NOISY:
        logging.getLogger(f"{name}.inner").info("step")
        logging.getLogger(f"{name}.inner").warning("trouble")
    logging.getLogger("enopax.test").debug("ours")
    assert [line["message"] for line in lines(stream)] == ["trouble"] * len(NOISY) + ["ours"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("format", "is_text"), [("auto", True), ("text", True), ("json", False)])
def test_a_terminal_gets_text_unless_told_otherwise(stream: io.StringIO, format: str, is_text: bool) -> None:
    terminal = Terminal()
    configure_logging("info", terminal, format)
    with bind(request="r1"):
        logging.getLogger("enopax.test").info("said")
    assert terminal.getvalue().endswith("INFO    said request=r1\n") is is_text


# ── Metrics ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[str]], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {(sample.name, frozenset(sample.labels.values())): sample.value for family in families for sample in family.samples}


def labels(*values: str) -> frozenset[str]:
    return frozenset(values)


def test_what_is_counted_can_be_read_by_prometheus() -> None:
    metrics = Metrics()
    metrics.request("/v1/{endpoint}", "GET", 200, 0.004)
    metrics.request("/v1/{endpoint}", "GET", 200, 0.2)
    metrics.operation_ended("git", "provision", "succeeded", 1.5)
    metrics.provider_error("git", "status")
    metrics.queue(12.5, 3)
    found = samples(metrics)
    assert found["enopax_requests_total", labels("/v1/{endpoint}", "GET", "200")] == 2
    assert found["enopax_request_seconds_bucket", labels("/v1/{endpoint}", "GET", "0.005")] == 1
    assert found["enopax_request_seconds_count", labels("/v1/{endpoint}", "GET")] == 2
    assert found["enopax_operations_total", labels("git", "provision", "succeeded")] == 1
    assert found["enopax_operation_seconds_sum", labels("git", "provision")] == 1.5
    assert found["enopax_provider_errors_total", labels("git", "status")] == 1
    assert found["enopax_queue_age_seconds", labels()] == 12.5
    assert found["enopax_queue_due", labels()] == 3


def test_two_cores_in_one_process_count_apart_and_not_globally() -> None:
    one, two = Metrics(), Metrics()
    one.provider_error("git", "status")
    assert ("enopax_provider_errors_total", labels("git", "status")) not in samples(two)
    assert not [metric.name for metric in REGISTRY.collect() if metric.name.startswith("enopax")]
