"""The one crossing from the engine into a provider: plain functions in a worker thread, errors wrapped at the edge."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

import anyio
import anyio.to_thread
import pluggy

from enopax_core.errors import EnopaxError, ProviderFault
from enopax_core.provider.base import overrides
from enopax_core.provider.spec import HOOKS, ProviderSpec
from enopax_core.registry import Registered, Registry
from enopax_core.telemetry import Metrics

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)


class ProviderManager(pluggy.PluginManager):
    """Holds one provider; its implementations are the hooks it overrides (an override does not inherit pluggy's mark)."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        if name not in HOOKS or not overrides(cast("ProviderSpec[Any]", plugin), name):
            return None
        return {
            "wrapper": False,
            "hookwrapper": False,
            "optionalhook": False,
            "tryfirst": False,
            "trylast": False,
            "specname": None,
        }


def crossings(registry: Registry, limiter: anyio.CapacityLimiter, metrics: Metrics) -> Mapping[str, Calls]:
    """The calls of every provider, by its endpoint."""
    return {known.endpoint: Calls(known, limiter, metrics) for known in registry.providers}


class Calls:
    """Calls one provider's hooks and endpoints. Costs 2 µs for pluggy, and 0.1 ms where a thread is needed."""

    def __init__(self, registered: Registered, limiter: anyio.CapacityLimiter, metrics: Metrics) -> None:
        manager = ProviderManager("enopax")
        manager.add_hookspecs(ProviderSpec)
        manager.register(registered.provider, registered.endpoint)
        self.hooks = cast("ProviderSpec[Any]", manager.hook)  # pluggy's callers are untyped; the specification is their type
        self._endpoint = registered.endpoint
        self._limiter = limiter  # not anyio's default: 40 blocked calls there held the ledger back for as long as they took
        self._metrics = metrics

    async def __call__(self, hook: Callable[P, T | Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a hook: `await calls(calls.hooks.provision, operation=…, resource=…)`. Raises EnopaxError alone."""
        function = cast("pluggy.HookCaller", hook).get_hookimpls()[0].function
        return await self.run(function.__name__, function, partial(hook, *args, **kwargs))

    async def stream(self, hook: Callable[..., AsyncGenerator[T, None]], **arguments: object) -> AsyncGenerator[T, None]:
        """What a hook gives one by one, until closed. Raises EnopaxError alone."""
        with self._edge(cast("pluggy.HookCaller", hook).name):
            async with contextlib.aclosing(hook(**arguments)) as items:
                async for item in items:
                    yield item

    async def run(self, name: str, function: Callable[..., object], call: Callable[[], T | Awaitable[T]]) -> T:
        """Run a bound call; `function` tells whether it must go to a thread. Raises EnopaxError alone."""
        with self._edge(name):
            if inspect.iscoroutinefunction(inspect.unwrap(function)):
                return await cast("Awaitable[T]", call())
            # A plain function cannot be interrupted. Shielded, because what it asks of the loop by `anyio.from_thread.run` would
            # spin for ever at the first lock or thread, once the attempt's scope was cancelled (seen with anyio 4.16).
            with anyio.CancelScope(shield=True):
                found = cast("T", await anyio.to_thread.run_sync(call, limiter=self._limiter))
            return found

    @contextlib.contextmanager
    def _edge(self, name: str) -> Iterator[None]:
        try:
            yield
        except EnopaxError:
            self._metrics.provider_error(self._endpoint, name)
            raise
        except Exception as error:  # a provider may fail in any way; what it says may hold a secret, so it goes to the log
            self._metrics.provider_error(self._endpoint, name)
            log.exception("The provider %s failed in %s.", self._endpoint, name)
            raise ProviderFault(f"The provider failed unexpectedly ({type(error).__name__}).") from error
