"""The services of a database, as the runtime is told of them."""

from __future__ import annotations

from enopax_core.runtime import Limits, Port, Probe, Service, Stop
from enopax_postgres.addresses import Address
from enopax_postgres.instance import Instance
from enopax_postgres.machine import ENVIRONMENT
from enopax_postgres.pooler import PgBouncer

SERVER, OTHER = ".postgres", ".postgres-b"
"""What the ids of a database's two servers end with; before it stands the resource's id. Either may be the primary."""
POOLER = ".pgbouncer"
SHUTDOWN_SECONDS = 60.0
"""A fast shutdown writes a checkpoint; killed before it is done, the next start replays the log instead."""


def server(instance: Instance, address: Address) -> Service:
    """PostgreSQL itself, in the foreground."""
    layout = instance.layout
    return Service(
        id=instance.service,
        resource=instance.resource,
        command=[
            instance.installation.program("postgres"),
            "-D",
            str(layout.data),
            "-c",
            f"config_file={layout.conf / 'postgresql.conf'}",
        ],
        environment=ENVIRONMENT,
        ports={"direct": Port(number=instance.port, host=address.probed)},
        readiness=Probe(port="direct"),
        limits=Limits(cpu=instance.size.cpus, memory=instance.size.memory),
        stop=Stop(signal="INT", seconds=SHUTDOWN_SECONDS),
    )


def pooler(instance: Instance, address: Address, found: PgBouncer, port: int) -> Service:
    """PgBouncer in front of it."""
    return Service(
        id=instance.id + POOLER,
        resource=instance.resource,
        command=[str(found.program), str(instance.layout.conf / "pgbouncer.ini")],
        environment=ENVIRONMENT,
        ports={"pooler": Port(number=port, host=address.probed)},
        readiness=Probe(port="pooler"),
        stop=Stop(signal=found.end, seconds=5),
    )
