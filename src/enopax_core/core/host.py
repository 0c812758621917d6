"""What the core lends its plugins: one object for each core, filled while it opens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from enopax_core.clock import Clock
from enopax_core.core.lent import LentResources
from enopax_core.core.ports import Ports
from enopax_core.errors import NotFound, NotOpen, PluginRefused
from enopax_core.governors import Governors
from enopax_core.hooks import Host
from enopax_core.ledger.interface import Ledger
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import Presented, Principal
from enopax_core.runtime.interface import Runtime
from enopax_core.runtime.opening import Opening
from enopax_core.settings import Settings
from enopax_core.vault import Vault

SettingsT = TypeVar("SettingsT", bound=BaseModel)


class CoreHost:
    """Implements `Host`."""

    def __init__(
        self, settings: Settings, clock: Clock, registry: CollectorRegistry, report: Callable[[str, Exception], None]
    ) -> None:
        self._settings, self._report = settings, report
        self._clock, self._registry = clock, registry
        self._vault: Vault | None = None
        self._ledger: Ledger | None = None
        self._governors: Governors | None = None
        self._resources: LentResources | None = None
        self._authenticate: Callable[[Presented], Awaitable[Principal]] | None = None
        self._ports: Ports | None = None
        self._opening: Opening | None = None
        self._listeners: list[Callable[[str], None]] = []
        self._permissions: Mapping[str, Collection[str]] = {}
        self.addresses: dict[str, Any] = {}
        self.bound_url: str | None = None

    def lend(
        self,
        *,
        vault: Vault,
        ledger: Ledger,
        governors: Governors,
        resources: LentResources,
        ports: Ports,
        opening: Opening,
    ) -> None:
        """The core is open as far as plugins need it."""
        self._vault, self._ledger, self._governors, self._ports = vault, ledger, governors, ports
        self._opening = opening
        self._resources = resources

    def authenticate_by(self, authenticate: Callable[[Presented], Awaitable[Principal]]) -> None:
        """Plugins' faces let in whom the core lets in, and slow down whom it slows down."""
        self._authenticate = authenticate

    def declare(self, permissions: Mapping[str, Collection[str]]) -> None:
        """Permissions that plugins have declared."""
        self._permissions = permissions

    @property
    def data_dir(self) -> Path:
        """See Host."""
        return self._settings.data_dir

    @property
    def clock(self) -> Clock:
        """See Host."""
        return self._clock

    @property
    def vault(self) -> Vault:
        """See Host."""
        return _open(self._vault)

    @property
    def ledger(self) -> Ledger:
        """See Host."""
        return _open(self._ledger)

    @property
    def registry(self) -> CollectorRegistry:
        """See Host."""
        return self._registry

    @property
    def resources(self) -> LentResources:
        """See Host."""
        return _open(self._resources)

    @property
    def runtime(self) -> Runtime:
        """See Host."""
        return _open(self._opening).runtime()

    @property
    def ports(self) -> Ports:
        """See Host."""
        return _open(self._ports)

    @property
    def declared_permissions(self) -> Mapping[str, Collection[str]]:
        """See Host."""
        return self._permissions

    @property
    def public_url(self) -> str | None:
        """See Host."""
        return self._settings.public_url or self.bound_url

    def settings(self, section: str, model: type[SettingsT]) -> SettingsT:
        """See Host."""
        return self._settings.section(section, model)

    def publish_address(self, name: str, address: Mapping[str, Any]) -> None:
        """See Host."""
        self.addresses[name] = dict(address)

    def report_problem(self, plugin: str, message: str) -> None:
        """See Host."""
        self._report(plugin, PluginRefused(message))

    async def authenticate(self, presented: Presented) -> Principal:
        """See Host."""
        return await _open(self._authenticate)(presented)

    async def authorise(self, principal: Principal, permission: str, targets: Sequence[Target]) -> Sequence[bool]:
        """See Host."""
        return await _open(self._governors).authorise(principal, permission, targets)

    async def resolve(self, organisation: str, project: str, *, by: Literal["name", "slug"] = "name") -> Place | None:
        """See Host."""
        try:
            place = await _open(self._governors).resolve(organisation, project, by)
        except NotFound:
            return None
        return None if place is None or place.new else place

    def on_revoked(self, listener: Callable[[str], None]) -> None:
        """See Host."""
        self._listeners.append(listener)

    def revoked(self, credential: str) -> None:
        """See Host."""
        for listener in self._listeners:
            listener(credential)


T = TypeVar("T")


def _open(part: T | None) -> T:
    if part is None:
        raise NotOpen("A plugin asked for this before the core was open: use it from enopax_lifespan on.")
    return part


_: Callable[[Settings, Clock, CollectorRegistry, Callable[[str, Exception], None]], Host] = CoreHost
