"""What is offered: plans and their limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enopax_core.provider import Plan

GIB = 1 << 30

SMALL, MEDIUM = "postgres-small", "postgres-medium"


def plans(small_disk: int, medium_disk: int) -> Sequence[Plan]:
    """The offers, with their disks in bytes."""
    return (
        Plan(
            id=SMALL,
            name="Small",
            description=f"2 vCPU, 4 GB of memory, {_gigabytes(small_disk)} on disk; backups kept 7 days, point-in-time recovery.",
            limits={"cpus": 2, "memoryBytes": 4 * GIB, "diskBytes": small_disk, "backupDays": 7, "connections": 100},
        ),
        Plan(
            id=MEDIUM,
            name="Medium",
            description=f"4 vCPU, 16 GB of memory, {_gigabytes(medium_disk)} on disk; a read replica, backups kept 30 days.",
            limits={
                "cpus": 4,
                "memoryBytes": 16 * GIB,
                "diskBytes": medium_disk,
                "backupDays": 30,
                "connections": 200,
                "insights": 1,
                "replicas": 1,
            },
        ),
    )


def _gigabytes(size: int) -> str:
    return f"{size / GIB:g} GB"


@dataclass(frozen=True, kw_only=True)
class Size:
    """The limits of a plan, typed."""

    cpus: int
    memory: int  # bytes
    disk: int  # bytes: database, write-ahead log and temporary files
    backup_days: int
    connections: int  # of customers; administration has its own
    insights: bool  # whether statistics of queries are kept
    replica: bool  # whether there is one to read from, and to fail over to


def size_of(plan: Plan) -> Size:
    """The limits of a plan."""
    limits = plan.limits
    return Size(
        cpus=limits["cpus"],
        memory=limits["memoryBytes"],
        disk=limits["diskBytes"],
        backup_days=limits["backupDays"],
        connections=limits["connections"],
        insights=bool(limits.get("insights")),
        replica=bool(limits.get("replicas")),
    )
