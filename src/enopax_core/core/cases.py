"""Composes the use cases of an open core: everything through constructors, visible in one function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from enopax_core.clock import Clock
from enopax_core.core.acceptance import Acceptance
from enopax_core.core.audit import Audit
from enopax_core.core.backups import Backups
from enopax_core.core.credentials import Credentials
from enopax_core.core.doctor.installation import Installation
from enopax_core.core.endpoints import Endpoints
from enopax_core.core.examining import Examination
from enopax_core.core.keys import Keys
from enopax_core.core.logs import Logs
from enopax_core.core.operations import Operations
from enopax_core.core.owner_key import OwnerKeyFile
from enopax_core.core.places import Places
from enopax_core.core.previews import Previews
from enopax_core.core.proposals import Proposals
from enopax_core.core.resources import Resources
from enopax_core.core.schemas import Schemas
from enopax_core.core.streams import Streams
from enopax_core.engine.effects import Effects
from enopax_core.engine.engine import Engine
from enopax_core.engine.present import Presenter
from enopax_core.events.feed import Feed
from enopax_core.governors import Governors
from enopax_core.hooks import Host
from enopax_core.ledger.interface import Ledger
from enopax_core.registry import Registry
from enopax_core.vault import Vault


@dataclass(frozen=True, kw_only=True)
class UseCases:
    """The use cases by noun."""

    resources: Resources
    previews: Previews
    operations: Operations
    credentials: Credentials
    endpoints: Endpoints
    keys: Keys
    streams: Streams
    audit: Audit
    backups: Backups
    logs: Logs
    examination: Examination


def compose(
    *,
    ledger: Ledger,
    registry: Registry,
    schemas: Mapping[str, Schemas],
    governors: Governors,
    host: Host,
    places: Places,
    engine: Engine,
    presenter: Presenter,
    vault: Vault,
    feed: Feed,
    owner_key_file: OwnerKeyFile,
    installation: Installation,
    clock: Clock,
) -> UseCases:
    """Make the use cases out of the parts of a core."""
    acceptance = Acceptance(ledger, governors, engine, clock)
    proposals = Proposals(places=places, schemas=schemas, presenter=presenter, vault=vault, clock=clock)
    resources = Resources(
        acceptance=acceptance,
        proposals=proposals,
        ledger=ledger,
        registry=registry,
        governors=governors,
        places=places,
        engine=engine,
        presenter=presenter,
        vault=vault,
        clock=clock,
    )
    operations = Operations(
        ledger=ledger,
        registry=registry,
        governors=governors,
        places=places,
        resources=resources,
        engine=engine,
        effects=Effects(registry, vault),
        vault=vault,
        feed=feed,
    )
    return UseCases(
        resources=resources,
        previews=Previews(
            ledger=ledger,
            registry=registry,
            governors=governors,
            engine=engine,
            presenter=presenter,
            vault=vault,
            looks=resources,
            proposals=proposals,
        ),
        operations=operations,
        credentials=Credentials(
            ledger=ledger,
            registry=registry,
            governors=governors,
            resources=resources,
            acceptance=acceptance,
            vault=vault,
        ),
        endpoints=Endpoints(
            ledger=ledger,
            registry=registry,
            governors=governors,
            resources=resources,
            acceptance=acceptance,
            engine=engine,
            presenter=presenter,
            vault=vault,
        ),
        keys=Keys(host=host, ledger=ledger, governors=governors, places=places, owner_key_file=owner_key_file, clock=clock),
        streams=Streams(ledger=ledger, feed=feed, operations=operations, places=places),
        logs=Logs(looks=resources, engine=engine, presenter=presenter, feed=feed),
        audit=Audit(ledger=ledger, governors=governors, places=places),
        examination=Examination(installation),
        backups=Backups(
            data_dir=installation.data_dir,
            ledger=ledger,
            registry=registry,
            governors=governors,
            engine=engine,
            clock=clock,
        ),
    )
