"""What the core relies on in a governing plugin, as tests of each hook that it has.

The plugin runs in a real core beside a provider, its own or a sample, through the life of a resource. Hooks are called
once more behind the core's back, as a transaction that is run again, a preview or an event delivered twice would.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from enopax_core.app import create_app
from enopax_core.builtin.roles import ROLES
from enopax_core.errors import EnopaxError, NotFound
from enopax_core.hooks import Change
from enopax_core.ledger import events
from enopax_core.ledger.interface import Transaction
from enopax_core.records.event import Event
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import INSTALLATION, Permission, Presented
from enopax_core.testing.asynchronous import Asynchronous
from enopax_core.testing.bench import PLACE, Bench, Opened
from enopax_core.testing.governing import Before, Denying, Hooks, Queries, Run, Undone, questions, targets_of
from enopax_core.testing.handle import Handle
from enopax_core.testing.loop import BEAT, LoopWatch
from enopax_core.testing.promise import broken, promise
from enopax_core.testing.sample import ENDPOINT, Sample
from enopax_core.testing.touches import touches
from enopax_core.testing.wire import Config

BLOCKED = 0.5  # seconds in which nothing else of the server could have run
SLOW = 2.0  # seconds in which an answer comes, unless it waits for something else
RUNS = 3  # how often a hook that may be repeated is repeated
NAME = re.compile(r"^[a-z][a-z0-9_-]*:[a-z][a-z0-9_-]*$")
ADDRESS = "192.0.2.1"  # for documentation (RFC 5737): nobody is there
STRANGERS: Mapping[str, Presented] = {
    "nothing at all": Presented(address=ADDRESS),
    "somebody else's token": Presented(address=ADDRESS, token="kit_0000000000"),  # noqa: S106  # opens nothing
    "somebody else's password": Presented(address=ADDRESS, basic=("kit", "kit_0000000000")),
    "somebody else's cookie": Presented(address=ADDRESS, cookie="kit=0000000000"),
    "somebody else's token in the address": Presented(address=ADDRESS, query_token="kit_0000000000"),  # noqa: S106
    "somebody else's SSH key": Presented(address=ADDRESS, ssh_key="SHA256:" + "0" * 43),
}


class PluginConformance(Asynchronous):
    """Subclass it, say how the plugin is made, and run pytest. Hooks that the plugin does not have are skipped."""

    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings by section, as in enopax.toml."""
    endpoint: ClassVar[str] = ENDPOINT
    """The provider whose resources the plugin governs: one of its own, or a sample."""
    config: ClassVar[Config] = {}
    """A valid configuration of that provider."""
    replaces: ClassVar[Collection[str]] = ()
    """Names of built-in plugins that it stands in for."""
    patience: ClassVar[float] = 60.0
    """Seconds that one change may take."""

    def plugin(self, data_dir: Path) -> object:
        """The plugin's module, or an object with hooks made anew: called for each start of a core."""
        raise NotImplementedError("Give the plugin's module, or make the object that has its hooks.")

    async def kept(self, data_dir: Path) -> object:
        """What the plugin has stored beside its tables, in a form that can be compared; override it to look deeper."""
        return None

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        """Cores on an empty data directory."""
        return Bench(
            tmp_path / "data",
            self.plugin,
            endpoint=self.endpoint,
            settings=self.settings,
            disabled=self.replaces,
            patience=self.patience,
        )

    # ── Start ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_it_starts_and_stops_again_and_again(self, bench: Bench) -> None:
        for number in range(2):
            try:
                async with self._open(bench) as (opened, _):
                    create_app(opened.core)
            except Exception as error:
                which = "first start" if number == 0 else "second start on the same data directory"
                broken(f"The {which} failed ({type(error).__name__}: {error}): take over what an earlier start has left.")

    async def test_permissions_are_named_and_held(self, bench: Bench) -> None:
        async with self._open(bench) as (_, hooks):
            for name, roles in hooks.call("enopax_permissions").items():
                promise(bool(NAME.match(name)), f"The permission {name!r} must be named `plugin:verb`: others have verbs too.")
                unknown = set(roles) - set(ROLES)
                promise(not unknown, f"The permission {name!r} is given to {', '.join(unknown)}; roles are {', '.join(ROLES)}.")

    # ── Who and where ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_stranger_is_left_to_others(self, bench: Bench) -> None:
        async with self._open(bench) as (_, hooks):
            for what, presented in STRANGERS.items():
                try:
                    found = await hooks.call("enopax_authenticate", presented=presented)
                except Exception as error:
                    broken(
                        f"enopax_authenticate raised {type(error).__name__} for {what}, which is not its own: give None, so that"
                        " the next plugin is asked; raise for what is recognisably yours (by a prefix, say) and bad."
                    )
                promise(found is None, f"enopax_authenticate takes {what} for {found}: give None for what is not its own.")

    async def test_each_target_is_judged_for_itself(self, bench: Bench) -> None:
        async with self._open(bench) as (opened, hooks):
            hooks.need("enopax_authorise")
            record = await opened.provision("one", self.config)
            targets = targets_of(record.organisation, record.project, record.id)
            for principal, permission in questions(opened.core, record.organisation):
                together = await hooks.judge(principal, permission, targets)
                unasked = together.keys() - set(targets)
                promise(not unasked, "enopax_authorise judges targets that it was not asked for: answer for `targets` alone.")
                odd = [verdict for verdict in together.values() if not isinstance(verdict, bool)]
                promise(not odd, f"enopax_authorise answers {odd[:1]}: a verdict is True or False, or left out.")
                for target in targets:
                    alone = await hooks.judge(principal, permission, [target])
                    promise(
                        alone.get(target) == together.get(target),
                        f"enopax_authorise says {alone.get(target)} of {target} alone and {together.get(target)} among others"
                        f" (permission {permission}): a verdict must not depend on what else is asked.",
                    )

    async def test_a_denial_beats_what_it_allows(self, bench: Bench) -> None:
        async with self._open(bench, Denying()) as (opened, hooks):
            hooks.need("enopax_authorise")
            targets = targets_of("o-1", "p-1", "r-1")
            for principal, permission in questions(opened.core, "o-1"):
                try:
                    verdicts = await opened.core.governors.authorise(principal, permission, targets)
                except Exception as error:
                    broken(
                        f"enopax_authorise raised {type(error).__name__} for the permission {permission}, so nobody's verdict"
                        " counts: leave out the targets that you do not judge."
                    )
                promise(
                    verdicts == [False] * 4,
                    "Beside a plugin that denies everything, something is allowed: enopax_authorise must not change `targets`.",
                )

    async def test_the_same_names_are_the_same_place(self, bench: Bench) -> None:
        async with self._open(bench) as (opened, hooks):
            hooks.need("enopax_resolve")
            record = await opened.provision("one", self.config)
            names = {"organisation": PLACE["organisationName"], "project": PLACE["projectName"], "by": "name"}
            first, second = [await hooks.call("enopax_resolve", **names) for _ in range(2)]
            promise(first == second, "enopax_resolve gave two places for the same names: find again what is stored.")
            if first is not None:
                promise(
                    (first.organisation_id, first.project_id, first.new) == (record.organisation, record.project, False),
                    "enopax_resolve does not find the place of a resource: store it in enopax_accept, where `place.new` is set.",
                )
            try:
                unknown = await hooks.call("enopax_resolve", organisation="kit-nowhere", project="kit-nothing", by="slug")
            except NotFound:
                unknown = None
            promise(unknown is None, "enopax_resolve made a place out of slugs that it does not know: only names make places.")
            await self._names_places(hooks, first, record.project)

    async def _names_places(self, hooks: Hooks, place: Place | None, project: str) -> None:
        if not hooks.has("enopax_places"):
            return
        named = await hooks.call("enopax_places", projects=[project, "kit-unknown"])
        promise(named.keys() <= {project}, "enopax_places names a project that it cannot know: leave it out.")
        shown = named.get(project)
        promise(
            place is None or shown is None or (shown.organisation, shown.project) == (place.organisation, place.project),
            "enopax_places gives a project other names than enopax_resolve has found it by.",
        )

    # ── Changes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_preview_changes_nothing(self, bench: Bench) -> None:
        async def check(opened: Opened, hooks: Hooks, change: Change) -> None:
            if hooks.has("enopax_event"):
                await self._consumed(opened, hooks)  # what it stores of earlier changes is not the preview's
            before = await self._state(opened)
            answers = [await hooks.attempt("enopax_admit", change=replace(change, preview=True)) for _ in range(RUNS)]
            promise(
                await self._state(opened) == before,
                f"enopax_admit has stored something for a preview of {change.type}: do that in enopax_accept.",
            )
            promise(
                all(answer == answers[0] for answer in answers),
                f"enopax_admit answered {answers} to the same preview of {change.type}: it must not count its own calls.",
            )

        await self._at_each_change(bench, "enopax_admit", check)

    async def test_accept_can_be_run_again(self, bench: Bench) -> None:
        """A transaction is rolled back and run again where another was faster."""

        async def check(opened: Opened, hooks: Hooks, change: Change) -> None:
            runs = [await self._rolled_back(opened, hooks, change) for _ in range(RUNS)]
            for run in runs:
                promise(
                    run.written == runs[0].written,
                    f"enopax_accept did {runs[0].written} for {change.type}, and {run.written} when it was run again: keep what"
                    " it counts in the database, where a rollback takes it back.",
                )

        await self._at_each_change(bench, "enopax_accept", check)

    async def test_accept_touches_the_transaction_alone(self, bench: Bench) -> None:
        async def check(opened: Opened, hooks: Hooks, change: Change) -> None:
            run = await self._rolled_back(opened, hooks, change)
            promise(
                not run.touched,
                f"enopax_accept called {', '.join(run.touched)} for {change.type}: every other change waits for it, and no"
                " rollback undoes it. Do it before, in enopax_admit, or afterwards, in enopax_event.",
            )

        await self._at_each_change(bench, "enopax_accept", check)

    async def test_an_attempt_need_not_be_left(self, bench: Bench) -> None:
        """A kill of the server skips leaving; the next attempt enters again."""
        async with self._open(bench) as (opened, hooks):
            hooks.need("enopax_attempt")
            resource = await opened.resource(await opened.provision("one", self.config))
            killed = hooks.call("enopax_attempt", operation=Handle(), resource=resource)
            await killed.__aenter__()  # and never leaves
        async with self._open(bench) as (_, hooks):
            try:
                with anyio.fail_after(self.patience):
                    async with hooks.call("enopax_attempt", operation=Handle(attempt=2), resource=resource):
                        pass
            except Exception as error:
                broken(
                    f"enopax_attempt raised {type(error).__name__} ({error}) on the attempt after one that was killed: take over"
                    " what an attempt that never left has left behind, and settle by enopax_event."
                )
        del killed  # alive until here: collecting it would have left it

    # ── Events ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_an_event_that_comes_twice_counts_once(self, bench: Bench) -> None:
        async with self._open(bench) as (opened, hooks):
            hooks.need("enopax_event")
            await self._life(opened)
            log = await self._consumed(opened, hooks)
            before = await self._state(opened)
            for event in log:
                await self._redeliver(hooks, event)
            after = await self._state(opened)
            promise(
                before == after,
                f"Events that were delivered again have turned {before} into {after}: delivery is at least once. Remember"
                " `event.position` or `event.id`, or write what has become true rather than what has changed.",
            )

    async def _redeliver(self, hooks: Hooks, event: Event) -> None:
        try:
            await hooks.call("enopax_event", event=event)
        except Exception as error:
            broken(
                f"enopax_event raised {type(error).__name__} ({error}) for an event that came again: what is done is no error."
            )

    async def _consumed(self, opened: Opened, hooks: Hooks) -> Sequence[Event]:
        """Wait until the plugin has had every event so far; all of them."""
        log = await opened.core.ledger.read(partial(events.everything, after=0, size=10_000))
        if not log:
            return log
        with anyio.move_on_after(self.patience):
            while True:
                cursor = await opened.core.ledger.read(partial(events.cursor, consumer=hooks.name))
                if cursor is not None and cursor.position >= log[-1].position:
                    return log
                promise(
                    not (cursor and cursor.error), f"enopax_event raised {cursor.error if cursor else ''}: see the log above."
                )
                await anyio.sleep(0.01)
        broken(f"enopax_event had not taken all events after {self.patience:.0f} s: the one it is at does not end.")

    # ── Calm ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_who_is_asked_at_every_request_answers_at_once(self, bench: Bench) -> None:
        async with self._open(bench) as (_, hooks):
            for hook, given in (
                ("enopax_authenticate", {"presented": STRANGERS["somebody else's token"]}),
                ("enopax_authorise", {"principal": INSTALLATION, "permission": Permission.READ, "targets": [Target()]}),
                ("enopax_resolve", {"organisation": "Kit", "project": "Conformance", "by": "name"}),
            ):
                if hooks.has(hook):
                    promise(
                        await _answers(hooks.attempt(hook, **given)),
                        f"{hook} had not answered after {SLOW} s, and every request waits for it: keep what it needs at hand.",
                    )

    async def test_nothing_blocks_the_event_loop(self, bench: Bench) -> None:
        async with self._open(bench) as (opened, hooks):
            watch = LoopWatch(BLOCKED, hooks.codes)
            await self._life(opened)
            if hooks.has("enopax_authenticate"):
                for presented in STRANGERS.values():
                    await hooks.attempt("enopax_authenticate", presented=presented)
            if hooks.has("enopax_event"):
                await self._consumed(opened, hooks)
            watch.stop()
        promise(
            not watch.blocked_at,
            f"A hook blocked the event loop, and with it every request, for more than {BLOCKED} s: await something asynchronous,"
            f" or anyio.to_thread.run_sync(…), here:\n{watch.blocked_at}",
        )

    # ── Parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _beside(self, bench: Bench) -> list[object]:
        """What runs with the plugin: the sample, and queries that read the plugin's own tables."""
        return [Sample(bench.data_dir), Queries(bench.data_dir.with_name("queries"), self.plugin(bench.data_dir))]

    @asynccontextmanager
    async def _open(self, bench: Bench, *more: object) -> AsyncIterator[tuple[Opened, Hooks]]:
        async with bench.open(*self._beside(bench), *more) as opened:
            yield opened, Hooks(opened)

    async def _life(self, opened: Opened) -> None:
        """Everything that can happen to a resource."""
        record = await opened.provision("one", self.config)
        for ask in opened.life(self.config):
            await opened.done(await ask(record.id))
        await opened.done(await opened.ask_delete(record.id, purge=True))

    async def _at_each_change(self, bench: Bench, hook: str, check: Callable[[Opened, Hooks, Change], Awaitable[None]]) -> None:
        """Live through a resource's life; before each change is accepted, check a hook with it."""
        before = Before()
        async with self._open(bench, before) as (opened, hooks):
            hooks.need(hook)
            before.call = partial(check, opened, hooks)
            await self._life(opened)

    async def _rolled_back(self, opened: Opened, hooks: Hooks, change: Change) -> Run:
        """Run enopax_accept in a transaction that is undone."""
        runs: list[Run] = []

        def write(transaction: Transaction) -> None:
            run = Run(transaction)
            runs.append(run)
            with touches() as run.touched:
                try:
                    hooks.call("enopax_accept", change=change, transaction=run)
                except EnopaxError as error:
                    run.written.append(("refused", {"with": type(error).__name__}))
            raise Undone

        with pytest.raises(Undone):
            await opened.core.ledger.write(write)
        return runs[-1]

    async def _state(self, opened: Opened) -> object:
        """Everything that the plugin has stored."""

        def read(transaction: Transaction) -> dict[str, list[dict[str, Any]]]:
            tables = [row["name"] for row in transaction.execute("kit.tables")]
            return {table: [dict(row) for row in transaction.execute(f"kit.{table}")] for table in tables}

        return await opened.core.ledger.read(read), await self.kept(opened.bench.data_dir)


async def _answers(call: Coroutine[Any, Any, object]) -> bool:
    """Whether a call ends within `SLOW` seconds, counted in beats: on a machine that stands still it has not taken longer."""
    answer = asyncio.create_task(call)
    for _ in range(round(SLOW / BEAT)):
        await asyncio.wait({answer}, timeout=BEAT)
        if answer.done():
            await answer
            return True
    answer.cancel()
    await asyncio.wait({answer})
    return False
