"""What is offered: plans and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from enopax_core.provider import Plan

GIB = 1 << 30

SMALL = Plan(
    id="postgres-small",
    name="Small",
    description="2 vCPU, 4 GB of memory, 10 GB on disk; daily backups kept 7 days, point-in-time recovery.",
    limits={"cpus": 2, "memoryBytes": 4 * GIB, "diskBytes": 10 * GIB, "backupDays": 7, "connections": 100},
)
MEDIUM = Plan(
    id="postgres-medium",
    name="Medium",
    description="4 vCPU, 16 GB of memory, 50 GB on disk; daily backups kept 30 days, point-in-time recovery, query insights.",
    limits={"cpus": 4, "memoryBytes": 16 * GIB, "diskBytes": 50 * GIB, "backupDays": 30, "connections": 200, "insights": 1},
)
PLANS = (SMALL, MEDIUM)


@dataclass(frozen=True, kw_only=True)
class Size:
    """The limits of a plan, typed."""

    cpus: int
    memory: int  # bytes
    disk: int  # bytes: database, write-ahead log and temporary files
    backup_days: int
    connections: int  # of customers; administration has its own
    insights: bool  # whether statistics of queries are kept


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
    )
