"""The governing hooks: identity, policy, naming, quota, events, routes. Any registered object may implement any of them.

Each hook says when it is called, by whom, and what returning None means. Async hooks are never `firstresult`: the first
coroutine would win even if it gives None; `Governors` awaits them in order. Plugins registered later are asked first,
so that what a site adds comes before what is built in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from enopax_core.clock import Clock
from enopax_core.ledger.interface import Ledger, Tables, Transaction
from enopax_core.provider.base import Provider
from enopax_core.provider.spec import hookspec
from enopax_core.provider.values import Operation, Plan, Price, Resource
from enopax_core.records.event import Event
from enopax_core.records.finding import Finding
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import Presented, Principal
from enopax_core.records.resource import ResourceRecord
from enopax_core.runtime.interface import Runtime
from enopax_core.vault import Vault

SettingsT = TypeVar("SettingsT", bound=BaseModel)
AsgiApp = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What somebody wants to change, as the governing hooks see it."""

    type: str  # an operation's type; `key.create` and the like for what is no resource
    permission: str
    principal: Principal
    place: Place
    endpoint: str | None = None
    plan: Plan | None = None
    before: ResourceRecord | None = None  # None: nothing there yet
    after: ResourceRecord | None = None  # as it will be accepted, secrets sealed
    preview: bool = False


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route a plugin adds. `app` is a plain ASGI application; `path` may hold `{name}` and end in `{rest:path}`.

    access: `public`; `principal` (the core authenticates, checks `permission` on the installation and leaves the
    principal in `scope["state"]["principal"]`); `own` (the application asks `Host` itself); `webhook` (the core reads
    the raw body and calls `verify(headers, body)` first).
    """

    path: str
    app: AsgiApp = field(repr=False)
    access: Literal["public", "principal", "own", "webhook"]
    methods: Collection[str] = ("GET",)
    permission: str | None = None
    body_limit: int | None = 1 << 20  # bytes; None: streamed without limit, the application's own business
    verify: Callable[[Mapping[str, str], bytes], bool] | None = None
    openapi: Mapping[str, Mapping[str, Any]] | None = None  # method → operation object; None: not part of the API's description


class Resources(Protocol):
    """Use cases on resources that a plugin may call."""

    async def get(self, id: str) -> ResourceRecord | None:
        """A resource by id, deleted ones included."""

    async def find(self, endpoint: str, project: str, name: str) -> ResourceRecord | None:
        """The live resource that holds a name in a project (by the project's opaque id)."""

    async def provision(self, endpoint: str, body: Mapping[str, Any], *, beside: str, key: str) -> ResourceRecord:
        """Accept a new resource in the organisation and project of `beside`, a resource's id; it is provisioned later.

        `body` is what POST takes, without the two names. Repeatable for a day: the same `key` (`operation.key(step)`)
        gives the resource that it made. Nobody's permission is asked. Raises NotFound, Invalid, NameTaken, or what a
        governing plugin refuses with.
        """

    async def hold(self, id: str, name: str, reason: str) -> None:
        """Suspend a resource for a named reason; several may coexist. Repeatable. Raises NotFound."""

    async def release(self, id: str, name: str) -> None:
        """Take a hold away; the resource resumes with the last one. Repeatable. Raises NotFound."""


class Ports(Protocol):
    """Ports of this machine for services. `owner` is a resource's id, or a service's (a spare that has no resource yet)."""

    async def allocate(self, owner: str, name: str) -> int:
        """The owner's port of this name: the one it has, or a new one that nothing listens on. Raises TemporaryError."""

    async def of(self, owner: str) -> Mapping[str, int]:
        """The owner's ports by name."""

    async def release(self, owner: str, name: str | None = None) -> None:
        """Give a port back, or all that the owner has; repeatable. It is given to nobody else for an hour."""


class Host(Protocol):
    """What the core lends a plugin. Before `enopax_lifespan` only `settings`, `data_dir` and `clock` may be used."""

    @property
    def data_dir(self) -> Path:
        """The installation's directory; keep things below a directory of your own, the resource's id in their path."""

    @property
    def clock(self) -> Clock:
        """The settable clock."""

    @property
    def vault(self) -> Vault:
        """Encryption at rest. Opens what records hold sealed; a rotation does not reach tables of a plugin's own."""

    @property
    def ledger(self) -> Ledger:
        """The database, for the plugin's own tables."""

    @property
    def registry(self) -> CollectorRegistry:
        """Where the plugin's Prometheus metrics are registered."""

    @property
    def resources(self) -> Resources:
        """Use cases on resources."""

    @property
    def runtime(self) -> Runtime:
        """Where long-lived services run."""

    @property
    def ports(self) -> Ports:
        """Ports of this machine, for services."""

    @property
    def declared_permissions(self) -> Mapping[str, Collection[str]]:
        """Permissions that plugins declare, with the roles that hold them by default."""

    @property
    def public_url(self) -> str | None:
        """Address under which people reach the HTTP server, without a slash at the end; None: not known yet."""

    def settings(self, section: str, model: type[SettingsT]) -> SettingsT:
        """The plugin's section of the settings. Raises SettingsError."""

    def publish_address(self, name: str, address: Mapping[str, Any]) -> None:
        """Put an address into `server.json`: `publish_address("ssh", {"host": …, "port": …})`."""

    def report_problem(self, plugin: str, message: str) -> None:
        """Something of the plugin cannot be used, and the rest goes on: it is logged, and `/readyz` and `doctor` count it."""

    async def authenticate(self, presented: Presented) -> Principal:
        """Say who this is. Raises Unauthenticated, TooManyRequests (failed attempts are slowed down per address)."""

    async def authorise(self, principal: Principal, permission: str, targets: Sequence[Target]) -> Sequence[bool]:
        """Judge many targets at once."""

    async def resolve(self, organisation: str, project: str, *, by: Literal["name", "slug"] = "name") -> Place | None:
        """The place of two names, or of two slugs as they stand in addresses; None: it does not exist."""

    def on_revoked(self, listener: Callable[[str], None]) -> None:
        """Call a plain function with the credential id of each credential that stops being valid."""

    def revoked(self, credential: str) -> None:
        """Tell everybody that a credential of the plugin's own stopped being valid: its open streams end."""


class PluginSpec(Protocol):
    """Hooks of a plugin package. A plugin's module may also hold `enopax_settings = {"section": Model}`."""

    @hookspec
    def enopax_providers(self, host: Host) -> Iterable[Provider[Any]]:
        """Announce providers. Called once at the start, before the ledger is open."""

    @hookspec
    def enopax_tables(self) -> Iterable[Tables]:
        """Announce migrations and queries of the plugin's own. Called once, as the core opens; they run before the lifespan."""

    @hookspec
    def enopax_permissions(self) -> Mapping[str, Collection[str]]:
        """Declare permissions `plugin:verb` with the roles that hold them by default. Called once at the start."""

    @hookspec
    def enopax_lifespan(self, host: Host) -> AbstractAsyncContextManager[None]:
        """Run from the open ledger to the last request: an SSH server, a cache. Entered once, in order of registration."""

    @hookspec
    def enopax_routes(self, host: Host) -> Iterable[Route]:
        """Announce routes. Called when the application is made, and again when its API is described; shadowing is refused."""

    @hookspec
    async def enopax_authenticate(self, host: Host, presented: Presented) -> Principal | None:
        """Say who this is. Called for each request and session. None: not mine, ask the next; raising: mine, but bad."""

    @hookspec
    async def enopax_resolve(
        self, host: Host, organisation: str, project: str | None, by: Literal["name", "slug"]
    ) -> Place | None:
        """Resolve names or slugs. Called once at the edge. None: ask the next; with `new` set, the place is created by
        the plugin's own `enopax_accept`, in the transaction of the first change that names it."""

    @hookspec
    async def enopax_places(self, host: Host, projects: Sequence[str]) -> Mapping[str, Place]:
        """Names of projects by their ids, for showing them. Called for answers; what is missing is asked of the next."""

    @hookspec
    async def enopax_authorise(
        self, host: Host, principal: Principal, permission: str, targets: Sequence[Target]
    ) -> Mapping[Target, bool] | None:
        """Judge targets. Called before everything; deny beats allow, a target that nobody judges is denied."""

    @hookspec
    async def enopax_admit(self, host: Host, change: Change) -> Price | None:
        """Before a change is accepted, and in a preview. May ask other services and name a price; raising refuses."""

    @hookspec
    def enopax_accept(self, host: Host, change: Change, transaction: Transaction) -> None:
        """Inside the accepting transaction; plain, only the handle: reserve quota, write rows. Raising rolls back."""

    @hookspec
    def enopax_attempt(self, host: Host, operation: Operation, resource: Resource[Any]) -> AbstractAsyncContextManager[None]:
        """Around each attempt, in the worker. Cannot change its end, and a kill may skip leaving: settle by event."""

    @hookspec
    def enopax_backup(self, host: Host, folder: Path) -> None:
        """Put a copy of what the plugin keeps outside the ledger into an empty folder, made for it in the data directory
        (so hard links work).

        Called for each backup, in a worker thread, after the ledger was copied. Everything that this copy names must be
        there: from before the ledger is copied until the last plugin has returned, operations other than provisioning
        and reconcile wait, so nothing goes away meanwhile, and what is added may be missing. Requests that plugins serve
        by themselves go on. With the server stopped it is called too: `host` then lends `settings`, `data_dir` and
        `clock` alone. Raising fails the backup.
        """

    @hookspec
    def enopax_restore(self, host: Host, folder: Path) -> None:
        """Put what `enopax_backup` of this or an older version has made into the data directory; files may be moved.

        Called once, in a worker thread, on a data directory that holds nothing of the plugin's, before the installation
        is opened for the first time: `host` lends `settings`, `data_dir` and `clock` alone. Raising fails the restoring,
        which then begins anew on an empty directory.
        """

    @hookspec
    async def enopax_examine(self, host: Host, running: bool, fix: bool) -> Iterable[Finding]:
        """Look whether what the plugin keeps and serves is in order, and name for each finding the command that mends it.

        Called for `enopax doctor`. With `fix`, what is safe to mend is mended, and the finding says so. `running`: the
        installation is open; at rest `host` lends `settings`, `data_dir` and `clock` alone. Raising is a finding too.
        """

    @hookspec
    async def enopax_event(self, host: Host, event: Event) -> None:
        """Each event at least once, in order. Called by the outbox; raising means again later. The plugin's name is
        its cursor."""


GOVERNING_HOOKS = tuple(name for name, member in vars(PluginSpec).items() if hasattr(member, "enopax_spec"))
"""Names of all governing hooks."""
