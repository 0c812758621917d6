"""What everybody relies on in a provider, as tests that every provider passes.

The provider runs in a real core on an empty data directory. A crash is simulated inside the process: the attempt is
abandoned at each point where it touches its `operation`, the core ends without writing anything more, and a new core on
the same data directory, with the plugin made anew, runs the change again with the same resource.
"""

from __future__ import annotations

import inspect
import logging
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from enopax_core.core.acceptance import Accepted
from enopax_core.errors import EnopaxError
from enopax_core.provider.spec import HOOKS
from enopax_core.provider.values import Action, Metric, Observed, Resource
from enopax_core.records.log import LogLine
from enopax_core.records.operation import OperationRecord, State
from enopax_core.records.resource import ResourceRecord, Status
from enopax_core.testing.asynchronous import Asynchronous
from enopax_core.testing.bench import Bench, Opened
from enopax_core.testing.handle import Handle
from enopax_core.testing.loop import LoopWatch
from enopax_core.testing.promise import broken, promise
from enopax_core.testing.schema import check_schema
from enopax_core.testing.secrecy import Secrets
from enopax_core.testing.tripwire import Tripwire
from enopax_core.testing.wire import Config, wire

METRIC = re.compile(r"^[a-z][A-Za-z0-9_]*$")
BLOCKED = 0.5  # seconds in which nothing else of the server could have run


class ProviderConformance(Asynchronous):
    """Subclass it, say how the provider is made and what it is given, and run pytest."""

    config: ClassVar[Config] = {}
    """A valid configuration, as a model or as on the wire."""
    changed: ClassVar[Config | None] = None
    """Another one, to update to. Needed where the provider offers `update`."""
    endpoint: ClassVar[str | None] = None
    """Which provider is meant, where the plugin announces several."""
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings by section, as in enopax.toml."""
    public: ClassVar[Collection[str]] = frozenset({"username", "database", "ca"})
    """Names in credentials and state whose values are no secrets."""
    patience: ClassVar[float] = 60.0
    """Seconds that one change may take."""

    def plugin(self, data_dir: Path) -> object:
        """The plugin's module, or a Provider made anew: called for each start of a core."""
        raise NotImplementedError("Give the plugin's module, or make the provider.")

    def backend(self, data_dir: Path, id: str) -> object:
        """What there is of a resource, so that two that were configured alike compare equal; override it to look deeper.

        Looks at what carries the resource's id in its name below the data directory.
        """
        return sorted(str(path.relative_to(data_dir)).replace(id, "…") for path in data_dir.rglob("*") if id in path.name)

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        """Cores on an empty data directory."""
        return Bench(tmp_path / "data", self.plugin, endpoint=self.endpoint, settings=self.settings, patience=self.patience)

    # ── What it says of itself ────────────────────────────────────────────────────────────────────────────────────────

    async def test_the_schema_accepts_what_the_model_accepts(self, bench: Bench) -> None:
        async with bench.open() as opened:
            check_schema(opened.registered, wire(self.config))
            if self.changed is not None:
                check_schema(opened.registered, wire(self.changed))

    # ── Provision ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_provisioned_resource_is_ready(self, bench: Bench) -> None:
        async with bench.open() as opened:
            record = await opened.provision("one", self.config)
            await self._is_ready(opened, record, "After provision")

    async def test_provision_survives_a_kill_at_every_step(self, bench: Bench) -> None:
        async def check(opened: Opened, wire: Tripwire) -> None:
            record = await opened.record(wire.resource)
            self._keeps_what_it_announced(opened, record, wire)
            await self._is_ready(opened, record, f"After provision was killed {wire.sprung} and run again")
            self._same_backend(bench, clean.id, record.id, f"provision was killed {wire.sprung} and run again")

        async with bench.open() as opened:
            clean = await opened.provision("clean", self.config)
        await bench.kill_everywhere("provision", self._fresh(), check)

    # ── Update ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_update_converges(self, bench: Bench) -> None:
        async with bench.open() as opened:
            changed = self._other_config(opened)
            record = await opened.provision("one", self.config)
            before = self.backend(bench.data_dir, record.id)
            record = await opened.done(await opened.ask_update(record.id, changed))
            await self._is_ready(opened, record, "After update")
            after = self.backend(bench.data_dir, record.id)
            await opened.done(await opened.ask_update(record.id, changed))
            self._same(self.backend(bench.data_dir, record.id), after, "update ran again with the same configuration")
            record = await opened.done(await opened.ask_update(record.id, self.config))
            await self._is_ready(opened, record, "After an update back to the first configuration")
            self._same(self.backend(bench.data_dir, record.id), before, "an update back to the first configuration")

    async def test_update_survives_a_kill_at_every_step(self, bench: Bench) -> None:
        async def update(opened: Opened, record: ResourceRecord) -> Accepted:
            return await opened.ask_update(record.id, self._other_config(opened))

        async def check(opened: Opened, wire: Tripwire) -> None:
            record = await opened.record(wire.resource)
            await self._is_ready(opened, record, f"After update was killed {wire.sprung} and run again")
            self._same_backend(bench, clean.id, record.id, f"update was killed {wire.sprung} and run again")

        async with bench.open() as opened:
            self._offers(opened, "update")
            clean = await opened.provision("clean", self.config)
            await opened.done(await update(opened, clean))
        await bench.kill_everywhere("update", self._fresh(update), check)

    # ── Delete, restore, purge ────────────────────────────────────────────────────────────────────────────────────────

    async def test_delete_is_repeatable(self, bench: Bench) -> None:
        async with bench.open() as opened:
            record = await opened.provision("one", self.config)
            resource = await opened.resource(record)
            await opened.done(await opened.ask_delete(record.id))
            await self._again(opened, "delete", resource, "what it has deleted already")
            never = replace(resource, id="kit-never-made", name="never", applied=None, state={}, credentials={})
            await self._again(opened, "delete", never, "a resource of which nothing was made yet")
            await self._frees(opened, record.id, "it was deleted three times")

    async def test_delete_survives_a_kill_at_every_step(self, bench: Bench) -> None:
        async def check(opened: Opened, wire: Tripwire) -> None:
            await self._frees(opened, wire.resource, f"delete was killed {wire.sprung} and run again")

        await bench.kill_everywhere("delete", self._fresh(lambda opened, record: opened.ask_delete(record.id)), check)

    async def test_half_a_provision_can_be_deleted(self, bench: Bench) -> None:
        """As after a customer's cancellation, at every point that hears of it."""

        async def check(opened: Opened, wire: Tripwire, _: OperationRecord) -> None:
            await opened.done(await opened.ask_delete(wire.resource))
            await self._frees(opened, wire.resource, f"provision was cancelled {wire.sprung} and the resource deleted")

        await self._cancel_everywhere(bench, check)

    async def test_restore_brings_back_what_delete_kept(self, bench: Bench) -> None:
        async with bench.open() as opened:
            self._offers(opened, "restore")
            record = await opened.provision("one", self.config)
            before = self.backend(bench.data_dir, record.id)
            await opened.done(await opened.ask_delete(record.id))
            restored = await opened.done(await opened.ask_restore(record.id))
            await self._is_ready(opened, restored, "After restore")
            self._same(self.backend(bench.data_dir, record.id), before, "a deleted resource was restored")
            for what, old, new in (
                ("access", record.access, restored.access),
                ("credentials", *(opened.core.credentials.opened(found) for found in (record, restored))),
            ):
                promise(old == new, f"restore changed {what}: people go on with what they have, so it must stay.")

    async def test_restore_survives_a_kill_at_every_step(self, bench: Bench) -> None:
        async def restore(opened: Opened, record: ResourceRecord) -> Accepted:
            await opened.done(await opened.ask_delete(record.id))
            return await opened.ask_restore(record.id)

        async def check(opened: Opened, wire: Tripwire) -> None:
            record = await opened.record(wire.resource)
            await self._is_ready(opened, record, f"After restore was killed {wire.sprung} and run again")

        async with bench.open() as opened:
            self._offers(opened, "restore")
        await bench.kill_everywhere("restore", self._fresh(restore), check)

    async def test_purge_frees_everything_and_is_repeatable(self, bench: Bench) -> None:
        async with bench.open() as opened:
            record = await opened.provision("one", self.config)
            resource = await opened.resource(record)
            await opened.done(await opened.ask_delete(record.id))
            await self._frees(opened, record.id, "it was deleted")
            if opened.registered.has("purge"):
                await self._again(opened, "purge", resource, "what it has freed already")

    # ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_status_tells_when_the_backend_is_gone(self, bench: Bench) -> None:
        async with bench.open() as opened:
            record = await opened.provision("one", self.config)
            await opened.take_away(await opened.resource(record))
        async with bench.open() as opened:
            found = await self._look(opened, record)
            promise(
                found.health == "missing",
                f"status says {found.health!r} of a backend that was taken away: look at the backend each time,"
                " do not answer from memory or from `resource`.",
            )

    async def test_inventory_lists_what_takes_up_room(self, bench: Bench) -> None:
        async with bench.open() as opened:
            self._offers(opened, "inventory")
            record = await opened.provision("one", self.config)
            known = await opened.inventory() or set()
            promise(record.id in known, "inventory does not list a resource that was provisioned: give the ids of `resource.id`.")
            if opened.registered.provider.retention is not None:
                await opened.done(await opened.ask_delete(record.id))
                known = await opened.inventory() or set()
                promise(record.id in known, "inventory does not list a deleted resource whose data is kept: it takes up room.")

    async def test_metrics_are_measured_values(self, bench: Bench) -> None:
        async with bench.open() as opened:
            self._offers(opened, "metrics")
            record = await opened.provision("one", self.config)
            measured = await opened.calls(opened.calls.hooks.metrics, resource=await opened.resource(record))
            promise(isinstance(measured, Mapping), "metrics must return a mapping of names to Metric.")
            for name, metric in measured.items():
                promise(isinstance(metric, Metric), f"The metric {name!r} must be a Metric(value=…, unit=…).")
                promise(bool(METRIC.match(name)), f"The metric {name!r} must be named by a word such as `size` or `disk_bytes`.")
                promise(math.isfinite(metric.value), f"The metric {name!r} is {metric.value}: leave out what cannot be measured.")
                promise(bool(metric.unit), f"The metric {name!r} needs a unit; a number of things has theirs, such as `commits`.")

    async def test_logs_are_lines_oldest_first(self, bench: Bench) -> None:
        async with bench.open() as opened:
            self._offers(opened, "logs")
            record = await opened.provision("one", self.config)
            lines = await opened.calls(opened.calls.hooks.logs, resource=await opened.resource(record))
            promise(all(isinstance(line, LogLine) for line in lines), "logs must return LogLine(time=…, message=…) values.")
            times = [line.time for line in lines]
            promise(times == sorted(times), "logs must return the oldest line first.")

    async def test_following_begins_with_the_latest_lines(self, bench: Bench) -> None:
        async with bench.open() as opened:
            self._offers(opened, "follow")
            record = await opened.provision("one", self.config)
            resource = await opened.resource(record)
            latest = await opened.calls(opened.calls.hooks.logs, resource=resource)
            written = opened.registered.provider.follow(resource)
            promise(isinstance(written, AsyncGenerator), "follow must be an asynchronous generator: `async def` with `yield`.")
            found = list[LogLine | None]()
            async with aclosing(written):
                with anyio.move_on_after(self.patience):
                    while len(found) < len(latest):
                        found.append(await anext(written, None))
            told = f"follow must begin with the latest lines, as logs gives them: {len(latest)} of them, {len(found)} came."
            promise(len(found) == len(latest) and None not in found, told)
            promise(all(isinstance(line, LogLine) for line in found), "follow must yield LogLine(time=…, message=…) values.")

    async def test_preview_changes_nothing(self, bench: Bench) -> None:
        async with bench.open() as opened:
            self._offers(opened, "preview")
            record = await opened.provision("one", self.config)
            resource = await opened.resource(record)
            before = self.backend(bench.data_dir, record.id)
            new = replace(resource, id="kit-preview", name="preview", applied=None, state={}, credentials={})
            for asked in (resource, new):
                actions = await opened.calls(opened.calls.hooks.preview, resource=asked)
                promise(all(isinstance(action, Action) for action in actions), "preview must return Action(…) values.")
            self._same(self.backend(bench.data_dir, record.id), before, "preview was called")
            self._same(self._nothing(bench), self.backend(bench.data_dir, new.id), "preview was called for a new resource")

    # ── Credentials ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_rotate_issues_new_credentials(self, bench: Bench) -> None:
        async with bench.open() as opened:
            self._offers(opened, "rotate")
            record = await opened.provision("one", self.config)
            before = opened.core.credentials.opened(record)
            record = await opened.done(await opened.ask_rotate(record.id))
            after = opened.core.credentials.opened(record)
            promise(after != before, "rotate left the credentials as they were: return new ones in Outcome(credentials=…).")
            promise(after.keys() == before.keys(), "rotate must return all credentials by the same names as provision.")

    async def test_secrets_are_not_shown(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            async with bench.open() as opened:
                accepted = await opened.ask_provision("one", self.config)
                secrets = Secrets(opened, frozenset(self.public))
                for ask in (None, *opened.life(self.changed)):
                    if ask is not None:
                        accepted = await ask(accepted.resource.id)
                    await opened.ended(accepted)  # well or not: an error must not tell them either
                    record = await opened.record(accepted.resource.id)
                    await secrets.learn(record)
                    await secrets.look_everywhere(record, caplog.get_records("call"))

    # ── Calm ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_cancelled_change_ends(self, bench: Bench) -> None:
        async def check(_: Opened, wire: Tripwire, operation: OperationRecord) -> None:
            ended = "" if operation.state is State.CANCELLED else f"and ended as {operation.state.value}"
            promise(
                not (ended or wire.went_on),
                f"provision was cancelled {wire.sprung}, {ended or f'but went on ({wire.went_on})'}: let `Cancelled` pass"
                " (catch narrower errors than Exception around progress, announce and step).",
            )

        await self._cancel_everywhere(bench, check)

    async def test_nothing_blocks_the_event_loop(self, bench: Bench) -> None:
        async with bench.open() as opened:
            watch = LoopWatch(BLOCKED, _codes_of(opened.registered.provider))
            record = await opened.provision("one", self.config)
            await self._look(opened, record)
            for hook in ("metrics", "logs"):
                if opened.registered.has(hook):
                    await opened.calls(getattr(opened.calls.hooks, hook), resource=await opened.resource(record))
            if opened.registered.has("update") and self.changed is not None:
                await opened.done(await opened.ask_update(record.id, self.changed))
            await opened.done(await opened.ask_delete(record.id))
            watch.stop()
            promise(
                not watch.blocked_at,
                f"An async method blocked the event loop, and with it every other request, for more than {BLOCKED} s. Make it a"
                f" plain `def`, which runs in a thread, or await something asynchronous here:\n{watch.blocked_at}",
            )

    async def test_suspend_and_resume_are_repeatable(self, bench: Bench) -> None:
        async with bench.open() as opened:
            self._offers(opened, "suspend")
            resource = await opened.resource(await opened.provision("one", self.config))
            for hook in ("suspend", "suspend", "resume", "resume"):
                if opened.registered.has(hook):
                    await self._again(opened, hook, resource, f"a resource that had maybe been through {hook} before")
            await self._is_ready(opened, await opened.record(resource.id), "After resume")

    # ── Parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _offers(self, opened: Opened, hook: str) -> None:
        """Skip what the provider does not declare."""
        if not opened.registered.has(hook):
            pytest.skip(f"{type(opened.registered.provider).__qualname__} does not offer {hook}")

    def _other_config(self, opened: Opened) -> Config:
        """What to update to."""
        self._offers(opened, "update")
        if self.changed is None:
            broken("The provider offers update: set `changed` to another valid configuration.")
        return self.changed

    def _fresh(self, then: Callable[[Opened, ResourceRecord], Awaitable[Accepted]] | None = None) -> Any:
        """Asks for a change of a new resource each time it is called; without `then`, for its provisioning."""
        number = 0

        async def ask(opened: Opened) -> Accepted:
            nonlocal number
            number += 1
            name = f"fresh-{number}"
            if then is None:
                return await opened.ask_provision(name, self.config)
            return await then(opened, await opened.provision(name, self.config))

        return ask

    async def _cancel_everywhere(
        self, bench: Bench, check: Callable[[Opened, Tripwire, OperationRecord], Awaitable[None]]
    ) -> None:
        """Cancel a provisioning at every point that hears of it, and look at what came of it."""
        ask = self._fresh()
        for point in (await bench.count_points("provision", ask))[:-1]:  # the last one is its end
            wire = Tripwire("provision", point, cancel=True)
            async with bench.open(wire) as opened:
                operation = await opened.ended(await ask(opened))
                if wire.sprung is not None:
                    await check(opened, wire, operation)

    async def _look(self, opened: Opened, record: ResourceRecord) -> Observed:
        try:
            found = await opened.look(record)
        except EnopaxError as error:
            broken(
                f"status raised an error ({error.message.rstrip('.')}): answer Observed(health='missing') for what is not there."
            )
        promise(isinstance(found, Observed), "status must return Observed(health=…).")
        return found

    async def _is_ready(self, opened: Opened, record: ResourceRecord, when: str) -> None:
        found = await self._look(opened, record)
        promise(found.health == "ready", f"{when}, status says {found.health!r} ({found.message}) where it must be 'ready'.")
        drifted = [f"{c.message}" for c in record.conditions if c.type == "Synced" and c.status != "True"]
        promise(not drifted, f"{when}, the backend is not as asked for: {' '.join(drifted)}")
        promise(
            record.status is Status.ACTIVE, f"{when}, the resource is {record.status.value!r} and not active: {record.message}"
        )

    def _keeps_what_it_announced(self, opened: Opened, record: ResourceRecord, wire: Tripwire) -> None:
        credentials = opened.core.credentials.opened(record)
        for outcome in wire.announced:
            kept = outcome.access in (None, record.access) and all(
                credentials.get(name) == value for name, value in (outcome.credentials or {}).items()
            )
            promise(
                kept,
                f"provision announced an address or credentials, was killed {wire.sprung} and then gave out others: somebody may"
                " already use the first. Take over `resource.credentials` where there are some.",
            )

    async def _again(self, opened: Opened, hook: str, resource: Resource[Any], what: str) -> None:
        """Call a change behind the core's back, as a second attempt would."""
        try:
            await opened.calls(getattr(opened.calls.hooks, hook), operation=Handle(), resource=resource)
        except EnopaxError as error:
            broken(
                f"{hook} failed on {what} ({error.message.rstrip('.')}): it is called again after a crash,"
                " so what is not there any more is no error."
            )

    async def _frees(self, opened: Opened, id: str, when: str) -> None:
        """Free what is left of a deleted resource, and look whether it is gone."""
        if opened.registered.has("purge"):
            await opened.done(await opened.ask_delete(id, purge=True))
            when = f"{when} and purged"
        known = await opened.inventory()
        promise(known is None or id not in known, f"After {when}, inventory still lists the resource: free what it finds.")
        left = self.backend(opened.bench.data_dir, id)
        promise(left == self._nothing(opened.bench), f"After {when}, the backend still holds {left!r}: free everything.")

    def _nothing(self, bench: Bench) -> object:
        return self.backend(bench.data_dir, "kit-unknown")

    def _same_backend(self, bench: Bench, clean: str, other: str, when: str) -> None:
        self._same(self.backend(bench.data_dir, other), self.backend(bench.data_dir, clean), when)

    def _same(self, found: object, expected: object, when: str) -> None:
        promise(
            found == expected,
            f"After {when}, the backend holds {found!r} instead of {expected!r}: what an earlier attempt has made must be found"
            " again (by `resource.id`, `operation.key(…)` or `operation.step(…)`), not made a second time or left half-way.",
        )


def _codes_of(provider: object) -> list[Any]:
    """The functions whose running blocks the loop: the provider's own async hooks."""
    methods = [inspect.unwrap(getattr(type(provider), hook)) for hook in HOOKS]
    return [method.__code__ for method in methods if inspect.iscoroutinefunction(method)]
