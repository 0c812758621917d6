"""A core for programs without an event loop: scripts, notebooks, applications that block.

with Blocking(Core(Settings(data_dir=Path("data")))) as run:
    accepted = run(run.core.resources.provision, INSTALLATION, "example", {"name": "one", "organisationName": "Acme"})
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import ParamSpec, TypeVar

from anyio.from_thread import start_blocking_portal

from enopax_core.core.core import Core
from enopax_core.errors import NotOpen

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Opens a core in a thread with an event loop of its own, and calls its use cases from outside."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._stack = contextlib.ExitStack()
        self._call: Callable[[Callable[[], Awaitable[object]]], object] | None = None

    def __enter__(self) -> Blocking:
        """Open the core. Raises what opening it raises."""
        with contextlib.ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(self.core))
            self._call = portal.call
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self._call = None
        self._stack.close()

    def __call__(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call an async function of the core and wait for what it gives. Raises what it raises; NotOpen outside of `with`."""
        if self._call is None:
            raise NotOpen
        return self._call(partial(function, *args, **kwargs))  # type: ignore[return-value]  # what the function gives
