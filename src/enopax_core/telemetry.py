"""Structured logs and Prometheus metrics. A library configures nothing: `enopax serve` alone calls `configure_logging`."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_CONTEXT: contextvars.ContextVar[dict[str, str]] = contextvars.ContextVar("enopax_log_context", default={})  # noqa: B039  # replaced, never changed

NOISY = ("asyncio", "asyncssh", "git", "httpcore2", "httpx2", "uvicorn")  # they tell of each step; their warnings are kept
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


@contextlib.contextmanager
def bind(**ids: str | None) -> Iterator[None]:
    """Put ids (request, operation, resource) on every log record made inside, in this task and in what it starts."""
    token = _CONTEXT.set({**_CONTEXT.get(), **{name: value for name, value in ids.items() if value}})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


class ContextFilter(logging.Filter):
    """Copies the bound ids onto each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _CONTEXT.get().items():
            setattr(record, f"{name}_id", value)
        return True


class TextFormatter(logging.Formatter):
    """For people at a terminal: time, level, message, and the bound ids."""

    default_time_format = "%H:%M:%S"
    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = "".join(f" {name}={getattr(record, f'{name}_id', value)}" for name, value in _CONTEXT.get().items())
        return super().formatMessage(record) + ids


def configure_logging(level: str = "info", stream: TextIO | None = None, format: str = "auto") -> None:
    """Write every record, as one line of JSON or (`text`, or `auto` on a terminal) for people.

    For processes that belong to Enopax alone: it replaces whatever was configured.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.addFilter(ContextFilter())
    handler.setFormatter(TextFormatter() if format == "text" or (format == "auto" and stream.isatty()) else _json_formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _json_formatter() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter  # costs 25 ms that embedders need not pay

    return JsonFormatter(
        "{levelname}{name}{message}", style="{", rename_fields={"levelname": "level", "name": "logger"}, timestamp="time"
    )


class Metrics:
    """The metrics of one core, in a registry of its own: several cores in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("enopax_requests", "HTTP requests.", ("route", "method", "status"))
        self._request_seconds = self._histogram("enopax_request_seconds", "Time to answer a request.", ("route", "method"))
        self._operations = self._counter("enopax_operations", "Ended attempts.", ("provider", "type", "state"))
        self._operation_seconds = self._histogram("enopax_operation_seconds", "Time of an attempt.", ("provider", "type"))
        self._errors = self._counter("enopax_provider_errors", "Errors raised by providers.", ("provider", "hook"))
        self._age = Gauge("enopax_queue_age_seconds", "How long the longest due operation waits.", registry=self.registry)
        self._waiting = Gauge("enopax_queue_due", "Operations that are due and wait.", registry=self.registry)
        self._orphans = Gauge("enopax_orphans", "Backends without a resource.", ("provider",), registry=self.registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the template, never the path: labels must not grow with the data."""
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route, method).observe(seconds)

    def operation_ended(self, provider: str, type: str, state: str, seconds: float) -> None:
        """An attempt has ended; state `queued` means that another one follows."""
        self._operations.labels(provider, type, state).inc()
        self._operation_seconds.labels(provider, type).observe(seconds)

    def provider_error(self, provider: str, hook: str) -> None:
        """A provider raised."""
        self._errors.labels(provider, hook).inc()

    def queue(self, age_seconds: float, waiting: int) -> None:
        """State of the queue, measured by the sweep."""
        self._age.set(age_seconds)
        self._waiting.set(waiting)

    def orphans(self, provider: str, number: int) -> None:
        """What the last reconcile found."""
        self._orphans.labels(provider).set(number)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

    def _counter(self, name: str, help: str, labels: tuple[str, ...]) -> Any:
        return Counter(name, help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, labels: tuple[str, ...]) -> Any:
        return Histogram(name, help, labels, registry=self.registry, buckets=BUCKETS)
