"""What the kit for governing plugins works with: one plugin's hooks, and small plugins beside it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from enopax_core.core.core import Core
from enopax_core.errors import EnopaxError
from enopax_core.hooks import GOVERNING_HOOKS, Change
from enopax_core.ledger.interface import Row, Tables, Transaction
from enopax_core.ledger.queries import load_migrations
from enopax_core.provider.spec import hookimpl
from enopax_core.records.event import Event
from enopax_core.records.place import Target
from enopax_core.records.principal import INSTALLATION, Permission, Principal
from enopax_core.testing.bench import Opened

TABLE = re.compile(r"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)", re.IGNORECASE)


class Undone(Exception):
    """Rolls a transaction back."""


class Hooks:
    """One plugin's hooks, called past the others."""

    def __init__(self, opened: Opened) -> None:
        manager, plugin = opened.core.registry.manager, opened.plugin
        self.name = manager.get_name(plugin) or ""
        self._host = opened.core.host
        self._found = {
            hook: implementation
            for hook in GOVERNING_HOOKS
            for implementation in getattr(manager.hook, hook).get_hookimpls()
            if implementation.plugin is plugin
        }

    @property
    def codes(self) -> list[CodeType]:
        """The functions themselves, as they stand on a stack."""
        return [inspect.unwrap(found.function).__code__ for found in self._found.values()]

    def has(self, hook: str) -> bool:
        """Whether the plugin implements a hook."""
        return hook in self._found

    def need(self, hook: str) -> None:
        """Skip the test of a hook that the plugin does not have."""
        if not self.has(hook):
            pytest.skip(f"The plugin does not have {hook}")

    def call(self, hook: str, **given: Any) -> Any:
        """What a hook returns: a value, or a coroutine."""
        self.need(hook)
        found = self._found[hook]
        given["host"] = self._host
        return found.function(**{name: given[name] for name in found.argnames})

    async def attempt(self, hook: str, **given: Any) -> object:
        """What an asynchronous hook answers, or the name of what it raises."""
        try:
            return await self.call(hook, **given)
        except EnopaxError as error:
            return type(error).__name__

    async def judge(self, principal: Principal, permission: str, targets: Sequence[Target]) -> Mapping[Target, Any]:
        """The plugin's verdicts."""
        return await self.call("enopax_authorise", principal=principal, permission=permission, targets=list(targets)) or {}


class Queries:
    """A plugin whose queries read another's tables: `kit.tables` lists them, `kit.<table>` gives the rows of one."""

    def __init__(self, folder: Path, plugin: object) -> None:
        self._folder = folder
        announced: Sequence[Tables] = plugin.enopax_tables() if hasattr(plugin, "enopax_tables") else ()
        scripts = [script for tables in announced for _, _, script in load_migrations(tables)]
        self._tables = sorted({name for script in scripts for name in TABLE.findall(script)})

    @hookimpl
    def enopax_tables(self) -> Iterable[Tables]:
        """Write the queries down, as a plugin would bring them along."""
        (self._folder / "queries").mkdir(parents=True, exist_ok=True)
        names = " UNION ALL ".join(f"SELECT '{name}' AS name" for name in self._tables) or "SELECT '' AS name WHERE 1 = 0"
        blocks = [f"-- name: tables\n{names};", *(f"-- name: {name}\nSELECT * FROM {name} ORDER BY 1;" for name in self._tables)]
        (self._folder / "queries" / "kit.sql").write_text("\n\n".join(blocks))
        return [Tables(section="kit", folder=self._folder)]


class Before:
    """A plugin that does something before each change is accepted, while it still could be refused."""

    call: Callable[[Change], Awaitable[None]] | None = None

    @hookimpl
    async def enopax_admit(self, change: Change) -> None:
        """Do it."""
        if self.call is not None and not change.preview:
            await self.call(change)


class Denying:
    """A plugin that denies everything."""

    @hookimpl
    async def enopax_authorise(self, targets: Sequence[Target]) -> Mapping[Target, bool]:
        """No."""
        return dict.fromkeys(targets, False)


class Run:
    """A transaction that notes what is done in it, texts left out: they may hold a new id or the time."""

    def __init__(self, transaction: Transaction) -> None:
        self.written: list[tuple[str, Mapping[str, object]]] = []
        self.touched: list[str] = []
        self._transaction = transaction

    @property
    def now(self) -> datetime:
        """See Transaction."""
        return self._transaction.now

    @property
    def events(self) -> list[Event]:
        """See Transaction."""
        return self._transaction.events

    def execute(self, query: str, **parameters: object) -> Sequence[Row]:
        """See Transaction."""
        plain = {name: value for name, value in parameters.items() if not isinstance(value, (str, bytes))}
        self.written.append((query, plain))
        return self._transaction.execute(query, **parameters)


def targets_of(organisation: str, project: str, resource: str) -> list[Target]:
    """One of each kind: the installation, an organisation, a project, a resource."""
    return [
        Target(),
        Target(organisation=organisation),
        Target(organisation=organisation, project=project),
        Target(organisation=organisation, project=project, resource=resource),
    ]


def questions(core: Core, organisation: str) -> list[tuple[Principal, str]]:
    """Who may ask for what: the system, a member, the installation's owner, an owner of somebody else, a nobody."""
    principals = [
        INSTALLATION,
        Principal(id="kit-member", kind="user", role="member", organisation=organisation),
        Principal(id="kit-owner", kind="key", role="owner"),
        Principal(id="kit-foreigner", kind="key", role="owner", organisation="o-kit-elsewhere"),
        Principal(id="kit-nobody", kind="token", permissions=frozenset()),
    ]
    permissions = [Permission.READ, Permission.PURGE, Permission.ADMIN, "kit:unknown", *core.host.declared_permissions]
    return [(principal, str(permission)) for principal in principals for permission in permissions]
