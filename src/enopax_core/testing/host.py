"""A fake `Host`, for unit tests of a plugin's parts. What needs a core behind it is tested with a kit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from enopax_core.errors import NameTaken, NotFound, Unauthenticated
from enopax_core.hooks import Host, Ports, Resources
from enopax_core.ledger.interface import Ledger
from enopax_core.records.condition import Hold
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import Presented, Principal
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import ENVELOPE
from enopax_core.runtime.interface import Runtime
from enopax_core.settings import Settings
from enopax_core.vault import Vault

SettingsT = TypeVar("SettingsT", bound=BaseModel)
FIRST_PORT = 40_000


class FakeHost:
    """Answers what the test has put into it: `FakeHost(tmp_path, settings={"git": {"ssh_port": 0}})`."""

    def __init__(self, data_dir: Path, *, settings: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """`settings` by section, as in enopax.toml."""
        self.data_dir = data_dir
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        """What the clock says; set it to move on."""
        self.public_url: str | None = "http://enopax.test"
        self.registry = CollectorRegistry()
        self.resources = FakeResources(self)
        self.ports = FakePorts()
        self.declared_permissions: Mapping[str, Collection[str]] = {}
        self.principals: dict[str, Principal] = {}
        """Who presents which token, password or fingerprint of a key."""
        self.denied: set[tuple[str, Target]] = set()
        """Permissions on targets that are refused; everything else is allowed."""
        self.places: list[Place] = []
        self.addresses: dict[str, Mapping[str, Any]] = {}
        """What was published for `server.json`."""
        self.problems: list[str] = []
        """What was reported as not usable."""
        self.ended: list[str] = []
        """Credentials that were said to have ended."""
        self._settings = Settings(data_dir=data_dir, sections={name: dict(section) for name, section in (settings or {}).items()})
        self._listeners: list[Callable[[str], None]] = []

    def clock(self) -> datetime:
        """See Host."""
        return self.now

    @property
    def vault(self) -> Vault:
        """See Host. A real one, whose key lies in the data directory."""
        return Vault(self.data_dir / "vault.keys")

    @property
    def ledger(self) -> Ledger:
        """Raises NotImplementedError: a fake database would prove nothing."""
        raise NotImplementedError("A FakeHost has no ledger: test what uses tables with PluginConformance, or with a Core.")

    @property
    def runtime(self) -> Runtime:
        """Raises NotImplementedError: a fake process would prove nothing."""
        raise NotImplementedError("A FakeHost runs no services: test what runs them with ProviderConformance, or with a Core.")

    def settings(self, section: str, model: type[SettingsT]) -> SettingsT:
        """See Host."""
        return self._settings.section(section, model)

    def publish_address(self, name: str, address: Mapping[str, Any]) -> None:
        """See Host."""
        self.addresses[name] = address

    def report_problem(self, plugin: str, message: str) -> None:
        """See Host."""
        self.problems.append(message)

    async def authenticate(self, presented: Presented) -> Principal:
        """See Host."""
        password = presented.basic[1] if presented.basic else None
        for shown in (presented.token, password, presented.query_token, presented.cookie, presented.ssh_key):
            if shown in self.principals:
                return self.principals[shown]
        raise Unauthenticated

    async def authorise(self, principal: Principal, permission: str, targets: Sequence[Target]) -> Sequence[bool]:
        """See Host."""
        return [(permission, target) not in self.denied for target in targets]

    async def resolve(self, organisation: str, project: str, *, by: Literal["name", "slug"] = "name") -> Place | None:
        """See Host."""
        for place in self.places:
            names = (place.organisation, place.project) if by == "name" else (place.organisation_slug, place.project_slug)
            if names == (organisation, project):
                return place
        return None

    def on_revoked(self, listener: Callable[[str], None]) -> None:
        """See Host."""
        self._listeners.append(listener)

    def revoked(self, credential: str) -> None:
        """See Host."""
        self.ended.append(credential)
        for listener in self._listeners:
            listener(credential)


class FakeResources:
    """Answers from `records`, which the test fills."""

    def __init__(self, host: FakeHost) -> None:
        self.records: dict[str, ResourceRecord] = {}
        self._host = host
        self._made: dict[str, str] = {}

    async def get(self, id: str) -> ResourceRecord | None:
        """See Resources."""
        return self.records.get(id)

    async def find(self, endpoint: str, project: str, name: str) -> ResourceRecord | None:
        """See Resources."""
        wanted = (endpoint, project, name, True)
        return next((r for r in self.records.values() if (r.endpoint, r.project, r.name, r.name_held) == wanted), None)

    async def provision(self, endpoint: str, body: Mapping[str, Any], *, beside: str, key: str) -> ResourceRecord:
        """See Resources. The record stays as it was accepted: nothing provisions it."""
        if key not in self._made:
            neighbour = self.records.get(beside)
            if neighbour is None:
                raise NotFound
            if await self.find(endpoint, neighbour.project, body["name"]) is not None:
                raise NameTaken
            id, config = f"{beside}-{len(self._made)}", {name: value for name, value in body.items() if name not in ENVELOPE}
            self.records[id] = ResourceRecord(
                id=id,
                endpoint=endpoint,
                organisation=neighbour.organisation,
                project=neighbour.project,
                name=body["name"],
                plan=body.get("plan"),
                config=config,
                created_at=self._host.now,
                updated_at=self._host.now,
            )
            self._made[key] = id
        return self.records[self._made[key]]

    async def hold(self, id: str, name: str, reason: str) -> None:
        """See Resources."""
        await self.release(id, name)
        record = self.records[id]
        self.records[id] = replace(record, holds=(*record.holds, Hold(name=name, reason=reason, since=self._host.now)))

    async def release(self, id: str, name: str) -> None:
        """See Resources."""
        if id not in self.records:
            raise NotFound
        record = self.records[id]
        self.records[id] = replace(record, holds=tuple(hold for hold in record.holds if hold.name != name))


class FakePorts:
    """Counts up; nothing is looked at, nothing listens."""

    def __init__(self) -> None:
        self.given: dict[tuple[str, str], int] = {}
        self._next = FIRST_PORT

    async def allocate(self, owner: str, name: str) -> int:
        """See Ports."""
        if (owner, name) not in self.given:
            self.given[owner, name] = self._next
            self._next += 1
        return self.given[owner, name]

    async def of(self, owner: str) -> Mapping[str, int]:
        """See Ports."""
        return {name: number for (other, name), number in self.given.items() if other == owner}

    async def release(self, owner: str, name: str | None = None) -> None:
        """See Ports."""
        self.given = {
            (other, theirs): number
            for (other, theirs), number in self.given.items()
            if other != owner or name not in (None, theirs)
        }


_host: Callable[[Path], Host] = FakeHost
_resources: Callable[[FakeHost], Resources] = FakeResources
_ports: Callable[[], Ports] = FakePorts
