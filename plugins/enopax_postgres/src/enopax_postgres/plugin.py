"""The hooks of the plugin, and what they share for each core (several may run in one process)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import anyio.to_thread

from enopax_core import Change, Host, Provider, hookimpl
from enopax_core.errors import Invalid
from enopax_postgres.admission import faults
from enopax_postgres.provider import ENDPOINT
from enopax_postgres.service import PostgresService
from enopax_postgres.settings import PostgresSettings

enopax_settings = {"postgres": PostgresSettings}
_services: WeakKeyDictionary[Host, PostgresService] = WeakKeyDictionary()


def _service(host: Host) -> PostgresService:
    """What the hooks of one core share."""
    if host not in _services:
        _services[host] = PostgresService(host)
    return _services[host]


@hookimpl
def enopax_providers(host: Host) -> Iterable[Provider[Any]]:
    """The provider `postgres`."""
    return [_service(host).provider]


@hookimpl
async def enopax_admit(host: Host, change: Change) -> None:
    """Refuse what this machine cannot do."""
    if change.endpoint != ENDPOINT or change.after is None:
        return
    source = (change.after.config.get("recoverFrom") or {}).get("resource")
    origin = None if source is None else await host.resources.get(source)
    service = _service(host)
    found = await anyio.to_thread.run_sync(
        faults, change, service.installations, service.plans, origin, service.used, service.major
    )
    if found:
        raise Invalid(faults=found)


@hookimpl
def enopax_lifespan(host: Host) -> contextlib.AbstractAsyncContextManager[None]:
    """Watch the databases while the core is open."""
    return _service(host).running()


@hookimpl
def enopax_backup(host: Host, folder: Path) -> None:
    """Every database up to its last commit, and the certificate authority."""
    _service(host).back_up(folder)


@hookimpl
def enopax_restore(host: Host, folder: Path) -> None:
    """The same in its place; the databases come up once the installation is open."""
    _service(host).restore(folder)
