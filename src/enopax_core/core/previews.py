"""What a change would do. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from enopax_core.core.acceptance import refuse_unless_changeable
from enopax_core.core.looks import Looks
from enopax_core.core.proposals import Proposals, change_of
from enopax_core.engine.engine import Engine
from enopax_core.engine.present import Presenter
from enopax_core.errors import NameTaken
from enopax_core.governors import Governors
from enopax_core.ledger import resources
from enopax_core.ledger.interface import Ledger
from enopax_core.provider.values import Price
from enopax_core.records.operation import Kind
from enopax_core.records.place import Place
from enopax_core.records.principal import Permission, Principal
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registry
from enopax_core.vault import Vault


class Previews:
    """Previews of changes to resources: they need the permission of the real thing."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        registry: Registry,
        governors: Governors,
        engine: Engine,
        presenter: Presenter,
        vault: Vault,
        looks: Looks,
        proposals: Proposals,
    ) -> None:
        self._ledger, self._registry, self._governors, self._engine = ledger, registry, governors, engine
        self._presenter, self._vault = presenter, vault
        self._looks, self._proposals = looks, proposals

    async def provision(
        self, principal: Principal, endpoint: str, body: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]], Price | None]:
        """What provisioning would do: configuration, actions, price. Changes nothing. Raises as `provision` does."""
        registered = self._registry.provider(endpoint)
        change = replace(await self._proposals.provision(principal, registered, body), preview=True)
        price = await self._governors.admit(change)
        record = change.after
        assert record is not None  # noqa: S101  # `_new` makes one
        await self._refuse_taken(record)
        actions: Sequence[Mapping[str, Any]] = [
            {"action": "create", "what": f"{registered.provider.name} {record.name}", "detail": record.plan or ""}
        ]
        if registered.has("preview"):
            calls = self._engine.executor.calls(endpoint)
            resource = await self._presenter_for(change.place).resource(record, registered)
            actions = [action.model_dump() for action in await calls(calls.hooks.preview, resource=resource)]
        return self._looks.shown_config(record), actions, price or (change.plan.price if change.plan else None)

    async def update(self, principal: Principal, endpoint: str, id: str, body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """What an update would change, field by field. Changes nothing. Raises as `update` does."""
        seen = await self._looks.find(principal, endpoint, id, Permission.UPDATE)
        registered = self._looks.declaring(endpoint, "update")
        refuse_unless_changeable(seen.record)
        after = self._proposals.desired(seen, registered, body)
        await self._governors.admit(
            replace(change_of(seen, registered, Kind.UPDATE, Permission.UPDATE, principal, after), preview=True)
        )
        if after.name != seen.record.name:
            await self._refuse_taken(after)
        secrets = registered.configuration.secrets
        old = {**self._presenter.config(seen.record), **_shared(seen.record)}
        new = {**self._presenter.config(after), **_shared(after)}
        changes = []
        for name in sorted({*old, *new}):
            if old.get(name) == new.get(name):
                continue
            schema = registered.configuration.properties.get(name, {})
            shown = {"old": old.get(name), "new": new.get(name)}
            if name in secrets:
                shown = {side: "***" for side, value in shown.items() if value is not None}
            changes.append({"pointer": f"/{name}", **shown, "effect": schema.get("x-effect", "in-place")})
        return changes

    async def _refuse_taken(self, record: ResourceRecord) -> None:
        find = partial(resources.find, endpoint=record.endpoint, project=record.project, name=record.name)
        if await self._ledger.read(find) is not None:
            raise NameTaken

    def _presenter_for(self, place: Place) -> Presenter:
        """A presenter that knows a place which is not stored yet."""

        async def place_of(_: str) -> Place:
            return place

        return Presenter(self._vault, place_of)


def _shared(record: ResourceRecord) -> dict[str, Any]:
    return {"name": record.name, "plan": record.plan, "sshKeys": list(record.ssh_keys)}
