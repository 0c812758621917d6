"""The one place where the governing hooks are called, typed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import pluggy

from enopax_core.errors import Forbidden, NotFound, Unauthenticated
from enopax_core.hooks import Change, Host, PluginSpec, Route
from enopax_core.ledger.interface import Tables, Transaction
from enopax_core.provider.values import Operation, Price, Resource
from enopax_core.records.event import Event
from enopax_core.records.finding import Finding
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import Presented, Principal

T = TypeVar("T")
log = logging.getLogger(__name__)


class Governors:
    """Asks every plugin, in the order that the hooks promise."""

    def __init__(self, manager: pluggy.PluginManager, host: Host) -> None:
        self._manager, self._host = manager, host
        self._hooks = cast("PluginSpec", manager.hook)  # pluggy's callers are untyped; the specification is their type

    def _answers(self, hook: str, **arguments: object) -> list[Any]:
        """What a hook returns from each plugin: values, or coroutines not yet awaited."""
        return cast("list[Any]", getattr(self._manager.hook, hook)(host=self._host, **arguments))

    # ── At the start ──────────────────────────────────────────────────────────────────────────────────────────────────

    def tables(self) -> list[Tables]:
        """Every plugin's tables, in order of registration: it is the order of the migrations too."""
        return [tables for found in reversed(self._manager.hook.enopax_tables()) for tables in found]

    def permissions(self) -> Mapping[str, Collection[str]]:
        """Permissions that plugins declare, with the roles that hold them."""
        declared: dict[str, Collection[str]] = {}
        for found in self._manager.hook.enopax_permissions():
            declared.update(found)
        return declared

    def routes(self) -> list[Route]:
        """Routes that plugins add."""
        return [route for found in self._answers("enopax_routes") for route in found]

    @contextlib.asynccontextmanager
    async def lifespans(self) -> AsyncIterator[None]:
        """Enter every plugin's lifespan in order of registration, leave them in reverse."""
        async with contextlib.AsyncExitStack() as stack:
            for lifespan in reversed(self._answers("enopax_lifespan")):
                await stack.enter_async_context(lifespan)
            yield

    # ── Who, where, may they ──────────────────────────────────────────────────────────────────────────────────────────

    async def authenticate(self, presented: Presented) -> Principal:
        """The principal behind what was presented. Raises Unauthenticated, or what a plugin raises."""
        found: Principal | None = await first(self._answers("enopax_authenticate", presented=presented))
        if found is None:
            raise Unauthenticated("This credential is not valid." if not presented.empty else None)
        return found

    async def resolve(self, organisation: str, project: str | None, by: Literal["name", "slug"] = "name") -> Place | None:
        """The place of names or slugs."""
        return await first(self._answers("enopax_resolve", organisation=organisation, project=project, by=by))

    async def places(self, projects: Sequence[str]) -> Mapping[str, Place]:
        """Names of projects, for showing them."""
        found: dict[str, Place] = {}
        async with contextlib.aclosing(every(self._answers("enopax_places", projects=projects))) as answers:
            async for answer in answers:
                found = {**answer, **found}
                if len(found) == len(set(projects)):
                    break
        return found

    async def authorise(self, principal: Principal, permission: str, targets: Sequence[Target]) -> list[bool]:
        """One verdict for each target: deny beats allow, and what nobody judges is denied."""
        verdicts: dict[Target, bool] = {}
        answers = self._answers("enopax_authorise", principal=principal, permission=permission, targets=targets)
        async with contextlib.aclosing(every(answers)) as judged:
            async for answer in judged:
                for target, verdict in (answer or {}).items():
                    verdicts[target] = verdict and verdicts.get(target, True)
        return [verdicts.get(target, False) for target in targets]

    async def require(self, principal: Principal, permission: str, target: Target) -> None:
        """Raises Forbidden unless the principal may do this; NotFound for a resource that it may not even see."""
        if (await self.authorise(principal, permission, [target]))[0]:
            return
        if target.resource and permission != "read" and (await self.authorise(principal, "read", [target]))[0]:
            raise Forbidden(f"This credential lacks the permission {permission}.")
        if target.resource:
            raise NotFound
        raise Forbidden(f"This credential lacks the permission {permission} here.")

    # ── Changes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def admit(self, change: Change) -> Price | None:
        """Ask whether a change may be made; the first price named. Raises what refuses it."""
        price: Price | None = None
        async with contextlib.aclosing(every(self._answers("enopax_admit", change=change))) as answers:
            async for answer in answers:
                price = price or answer
        return price

    def accept(self, change: Change, transaction: Transaction) -> None:
        """Inside the accepting transaction. Raises what refuses the change."""
        self._answers("enopax_accept", change=change, transaction=transaction)

    @contextlib.asynccontextmanager
    async def attempt(self, operation: Operation, resource: Resource[Any]) -> AsyncIterator[None]:
        """Around an attempt. What a plugin raises is logged: it cannot change the attempt's end."""
        async with contextlib.AsyncExitStack() as stack:
            for context in self._answers("enopax_attempt", operation=operation, resource=resource):
                try:
                    entered = await context.__aenter__()
                except Exception:  # a plugin may fail in any way; the attempt must not
                    log.exception("A plugin failed around an attempt.")
                else:
                    stack.push_async_callback(_leave, context, entered)
            yield

    def consumers(self) -> Mapping[str, Callable[[Event], Awaitable[None]]]:
        """Who consumes events, by the name that is its cursor."""
        return self._by_plugin("enopax_event", "event")

    # ── Backups ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def backups(self) -> Mapping[str, Callable[[Path], None]]:
        """Who adds to a backup, by name. What is called blocks."""
        return self._by_plugin("enopax_backup", "folder")

    def restores(self) -> Mapping[str, Callable[[Path], None]]:
        """Who takes its part of a backup back, by name. What is called blocks."""
        return self._by_plugin("enopax_restore", "folder")

    def examinations(self) -> Mapping[str, Callable[[bool, bool], Awaitable[Iterable[Finding]]]]:
        """Who examines itself, by name; called with whether the installation is open, and whether to mend what is safe."""
        return self._by_plugin("enopax_examine", "running", "fix")

    def _by_plugin(self, hook: str, *arguments: str) -> Mapping[str, Callable[..., Any]]:
        """A hook of each plugin alone, called with its arguments beside the host."""

        def calling(implementation: pluggy.HookImpl) -> Callable[..., Any]:
            def call(*values: object) -> Any:
                given = {"host": self._host, **dict(zip(arguments, values, strict=True))}
                return implementation.function(**{name: given[name] for name in implementation.argnames})

            return call

        implementations: list[pluggy.HookImpl] = getattr(self._manager.hook, hook).get_hookimpls()
        return {implementation.plugin_name: calling(implementation) for implementation in implementations}


async def _leave(context: contextlib.AbstractAsyncContextManager[None], _: object) -> None:
    try:
        await context.__aexit__(None, None, None)
    except Exception:  # a plugin may fail in any way; the attempt must not
        log.exception("A plugin failed around an attempt.")


async def every(answers: Sequence[Coroutine[Any, Any, T]]) -> AsyncGenerator[T, None]:
    """Await what an async hook returned, one by one; close what is not reached, so that nothing is left unawaited."""
    try:
        for answer in answers:
            yield await answer
    finally:
        for answer in answers:
            answer.close()


async def first(answers: Sequence[Coroutine[Any, Any, T | None]]) -> T | None:
    """The first answer that is not None."""
    async with contextlib.aclosing(every(answers)) as results:
        async for result in results:
            if result is not None:
                return result
    return None
