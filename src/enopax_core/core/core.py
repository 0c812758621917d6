"""Composes the core: everything through constructors, visible in one function."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio

from enopax_core import builtin
from enopax_core.clock import Clock, utc_now
from enopax_core.core.audit import Audit
from enopax_core.core.authentication import Authentication
from enopax_core.core.backups import LEDGER, Backup, Backups, at_rest, clear_staging
from enopax_core.core.cases import UseCases, compose
from enopax_core.core.credentials import Credentials
from enopax_core.core.doctor.installation import Installation
from enopax_core.core.endpoints import Endpoints
from enopax_core.core.examining import Examination, examine_at_rest
from enopax_core.core.host import CoreHost
from enopax_core.core.keys import Keys
from enopax_core.core.lent import LentResources
from enopax_core.core.lock import DirectoryLock
from enopax_core.core.logs import Logs
from enopax_core.core.operations import Operations
from enopax_core.core.owner_key import OwnerKeyFile
from enopax_core.core.places import Places
from enopax_core.core.ports import Ports
from enopax_core.core.previews import Previews
from enopax_core.core.reseal import reseal
from enopax_core.core.resources import Resources
from enopax_core.core.restoring import refuse_unfinished
from enopax_core.core.schemas import Schemas
from enopax_core.core.streams import Streams
from enopax_core.engine.calls import crossings
from enopax_core.engine.dispatch import MemoryDispatcher
from enopax_core.engine.engine import Engine
from enopax_core.engine.execute import Executor
from enopax_core.engine.orphans import Orphans
from enopax_core.engine.present import Presenter
from enopax_core.engine.reconcile import Reconciler
from enopax_core.errors import NotOpen, StartupError
from enopax_core.events.feed import Feed
from enopax_core.events.outbox import Outbox
from enopax_core.governors import Governors
from enopax_core.ledger.interface import Ledger, Tables
from enopax_core.ledger.sqlite import SqliteLedger
from enopax_core.provider.base import Provider
from enopax_core.records.finding import Finding
from enopax_core.records.principal import Presented, Principal
from enopax_core.registry import Registry, installed
from enopax_core.runtime.opening import opened
from enopax_core.runtime.settings import RuntimeSettings
from enopax_core.settings import Settings
from enopax_core.telemetry import Metrics
from enopax_core.vault import Vault

log = logging.getLogger(__name__)


class Core:
    """One installation: `async with Core(Settings(data_dir=…)) as core:` opens it, several may be open in one process.

    `plugins`: modules or Provider instances; None means what is installed (entry point group `enopax`), `()` none.
    What is built in (keys, roles, places) is always there unless switched off by name in the settings.
    """

    def __init__(self, settings: Settings, plugins: Sequence[object] | None = None, *, clock: Clock = utc_now) -> None:
        """Find and check the plugins; nothing is opened.

        Raises: PluginRefused for what was given in `plugins`, SettingsError for a name in `disabled_plugins` that nothing has.
        """
        self.settings, self.clock = settings, clock
        self.metrics = Metrics()
        self.registry = Registry()
        self.host = CoreHost(settings, clock, self.metrics.registry, self.registry.report)
        self.governors = Governors(self.registry.manager, self.host)
        self._find_plugins(plugins)
        self.host.declare(self.governors.permissions())
        self.schemas = {known.endpoint: Schemas(known) for known in self.registry.providers}
        self._places = Places(self.governors)
        self._authentication = Authentication(self.governors, clock)
        self.host.authenticate_by(self._authentication.fresh)
        self.host.on_revoked(lambda _: self._authentication.forget())
        self.feed = Feed()
        self._stack: contextlib.AsyncExitStack | None = None
        self._cases: UseCases | None = None
        self._draining = False

    def _find_plugins(self, plugins: Sequence[object] | None) -> None:
        disabled = self.settings.switched_off({*builtin.PLUGINS, *(entry.name for entry in installed())})
        for name, plugin in builtin.PLUGINS.items():
            if name not in disabled:
                self.registry.add(plugin, name)
        if plugins is None:
            self.registry.discover(disabled)
        for given in plugins or ():
            if isinstance(given, Provider):
                self.registry.add_provider(given, type(given).__qualname__)
            else:
                self.registry.add(given, getattr(given, "__name__", type(given).__qualname__))
        self.registry.announce(self.host)

    # ── Opening and closing ───────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Core:
        """Open: lock the data directory, migrate, take up accepted work, enter the plugins' lifespans.

        It may be opened again after it was closed.

        Raises: DataDirectoryInUse, DatabaseTooNew, StartupError.
        """
        if self._stack is not None:
            raise StartupError("This core is open already: open it once and share it.")
        self._draining = False
        self.feed.open()
        stack = contextlib.AsyncExitStack()
        try:
            await self._open(stack)
        except BaseException:
            await stack.__aexit__(None, None, None)  # what was raised goes on as it is: task groups would wrap it
            raise
        self._stack = stack
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close: streams end, what runs is given back, plugins leave, the ledger is shut."""
        self.drain()
        stack, self._stack = self._stack, None
        if stack is not None:  # what was raised inside goes on as it is: task groups would wrap it
            await stack.__aexit__(None, None, None)

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        settings, registry, clock, metrics = self.settings, self.registry, self.clock, self.metrics
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        stack.enter_context(DirectoryLock(settings.data_dir))
        refuse_unfinished(settings.data_dir)
        await clear_staging(settings.data_dir)
        self.vault = vault = Vault(settings.data_dir / "vault.keys")
        path = settings.data_dir / LEDGER
        tables = [builtin.TABLES, *self.governors.tables()]
        self.ledger = ledger = await stack.enter_async_context(SqliteLedger(path, tables=tables, clock=clock))
        ledger.listen(self.feed.ring)
        runtime_settings = settings.section("runtime", RuntimeSettings)
        opening = await stack.enter_async_context(opened(settings.data_dir, runtime_settings, clock))
        presenter = Presenter(vault, self._places.of)
        calls = crossings(registry, anyio.CapacityLimiter(settings.provider_threads), metrics)
        orphans = Orphans(ledger, opening, calls)
        executor = Executor(
            registry=registry,
            governors=self.governors,
            vault=vault,
            presenter=presenter,
            reconciler=Reconciler(ledger, presenter, metrics, orphans),
            calls=calls,
        )
        engine = Engine(
            ledger=ledger,
            dispatcher=MemoryDispatcher(settings.workers, clock),
            registry=registry,
            vault=vault,
            executor=executor,
            metrics=metrics,
            clock=clock,
            reconcile_every=timedelta(seconds=settings.reconcile_seconds),
        )
        self._cases = cases = compose(
            ledger=ledger,
            registry=registry,
            schemas=self.schemas,
            governors=self.governors,
            host=self.host,
            places=self._places,
            engine=engine,
            presenter=presenter,
            vault=vault,
            feed=self.feed,
            owner_key_file=OwnerKeyFile(self.owner_key_file),
            installation=replace(self._installation(ledger, tables), orphans=orphans),
            clock=clock,
        )
        self.host.lend(
            vault=vault,
            ledger=ledger,
            governors=self.governors,
            resources=LentResources(ledger, registry, engine, self._places, cases.resources),
            ports=Ports(ledger, runtime_settings.port_range),
            opening=opening,
        )
        await reseal(vault, ledger, unfinished_only=True)
        await cases.keys.ensure_owner()
        await stack.enter_async_context(self.governors.lifespans())
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(Outbox(ledger, self.feed, self.governors.consumers()).run)
        stack.callback(group.cancel_scope.cancel)
        await stack.enter_async_context(engine.running(alone=True))

    # ── What the faces use ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_open(self) -> bool:
        """Between entering and leaving."""
        return self._stack is not None

    @property
    def ready(self) -> bool:
        """Takes requests: open, and not about to close."""
        return self.is_open and not self._draining

    @property
    def resources(self) -> Resources:
        """Use cases on resources. Raises NotOpen."""
        return self._opened().resources

    @property
    def previews(self) -> Previews:
        """What changes to resources would do. Raises NotOpen."""
        return self._opened().previews

    @property
    def operations(self) -> Operations:
        """Use cases on operations. Raises NotOpen."""
        return self._opened().operations

    @property
    def credentials(self) -> Credentials:
        """Use cases on credentials. Raises NotOpen."""
        return self._opened().credentials

    @property
    def endpoints(self) -> Endpoints:
        """Custom endpoints. Raises NotOpen."""
        return self._opened().endpoints

    @property
    def keys(self) -> Keys:
        """Use cases on API keys. Raises NotOpen."""
        return self._opened().keys

    @property
    def streams(self) -> Streams:
        """The log of events. Raises NotOpen."""
        return self._opened().streams

    @property
    def logs(self) -> Logs:
        """The logs of backends, to be followed. Raises NotOpen."""
        return self._opened().logs

    @property
    def audit(self) -> Audit:
        """The audit log. Raises NotOpen."""
        return self._opened().audit

    @property
    def backups(self) -> Backups:
        """Backups of the open installation. Raises NotOpen."""
        return self._opened().backups

    @property
    def examination(self) -> Examination:
        """What is wrong with the open installation. Raises NotOpen."""
        return self._opened().examination

    async def examine_at_rest(self, *, fix: bool = False) -> Sequence[Finding]:
        """What is wrong with the installation without asking the server that may run on it."""
        tables = [builtin.TABLES, *self.governors.tables()]
        return await examine_at_rest(replace(self._installation(None, tables), fix=fix))

    def _installation(self, ledger: Ledger | None, tables: Sequence[Tables]) -> Installation:
        return Installation(
            settings=self.settings,
            registry=self.registry,
            governors=self.governors,
            host=self.host,
            tables=tables,
            clock=self.clock,
            ledger=ledger,
            open=ledger is not None,
            running=ledger is not None,
            fix=False,
        )

    def backup_at_rest(self) -> contextlib.AbstractAsyncContextManager[Backup]:
        """Back up the installation while nobody has it open. Raises DataDirectoryInUse, Conflict, StartupError."""
        return at_rest(data_dir=self.settings.data_dir, registry=self.registry, governors=self.governors, clock=self.clock)

    @property
    def places(self) -> Places:
        """Names of places."""
        return self._places

    async def authenticate(self, presented: Presented) -> Principal:
        """Who this is; failed attempts are slowed down per address.

        Raises: Unauthenticated, TooManyRequests, NotOpen.
        """
        self._opened()
        return await self._authentication(presented)

    @property
    def owner_key_file(self) -> Path:
        """Where the first start wrote the owner's API key."""
        return self.settings.data_dir / "owner.key"

    @property
    def addresses(self) -> Mapping[str, Any]:
        """What plugins listen on, for `server.json`."""
        return self.host.addresses

    def drain(self) -> None:
        """The server is about to stop: readiness falls, waiting requests are answered, streams end."""
        self._draining = True
        self.feed.close()

    def _opened(self) -> UseCases:
        if self._stack is None or self._cases is None:
            raise NotOpen
        return self._cases
