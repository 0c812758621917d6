"""Server parameters derived from a plan, each rule with its source.

[doc] is the manual of PostgreSQL (chapter 20, "Server Configuration"), [tune] the rules of PGTune
(github.com/le0pard/pgtune, "Mixed type of application"), [fact] was measured for this plugin.
"""

from __future__ import annotations

from collections.abc import Mapping

from enopax_postgres.plans import Size

KIB, MIB = 1 << 10, 1 << 20
RESERVED_CONNECTIONS = 10
"""Kept for administration, replication and backups beside the customer's."""

RESTART = frozenset(
    {
        "archive_mode",
        "max_connections",
        "max_worker_processes",
        "port",
        "listen_addresses",
        "shared_buffers",
        "shared_preload_libraries",
        "superuser_reserved_connections",
        "wal_level",
    }
)
"""Parameters that take effect with a restart only ([doc]: context `postmaster` in pg_settings)."""


def parameters(size: Size, major: int) -> Mapping[str, str]:
    """Parameters of a server of that size and major version, by name, as text for postgresql.conf."""
    shared = size.memory // 4
    log = max(64 * MIB, size.disk // 10)  # the least that leaves room for a checkpoint: four segments
    connections = size.connections + RESERVED_CONNECTIONS
    parallel = max(1, size.cpus // 2)
    found = {
        # Memory
        "shared_buffers": _mib(shared),  # [doc] 25 % of the memory
        "effective_cache_size": _mib(size.memory * 3 // 4),  # [tune] three quarters of the memory
        "maintenance_work_mem": _mib(min(size.memory // 16, 2 << 30)),  # [tune] a sixteenth, at most 2 GB
        # [tune] what is left, shared by three operations per connection and the parallel workers of each, halved for mixed use
        "work_mem": f"{max(64, (size.memory - shared) // (connections * 3) // parallel // 2 // KIB)}kB",
        # Connections
        "max_connections": str(connections),
        "superuser_reserved_connections": str(RESERVED_CONNECTIONS),  # [doc] so that administration always gets in
        # Processors
        "max_worker_processes": str(max(8, size.cpus)),  # [doc] 8 is the default, and replicas need as many as their primary
        "max_parallel_workers": str(size.cpus),  # [tune]
        "max_parallel_workers_per_gather": str(parallel),  # [tune] half the processors
        "max_parallel_maintenance_workers": str(parallel),  # [tune]
        "jit": "off",  # [fact] short queries lose more by compiling than they win; not every build has it
        # Disk
        "random_page_cost": "1.1",  # [tune] solid state
        "effective_io_concurrency": "200",  # [tune] solid state
        # Write-ahead log: bounded by the disk of the plan
        "wal_level": "replica",
        "wal_compression": "on",  # [fact] halves the archive; every build has the method `pglz`
        "max_wal_size": _mib(log),
        "min_wal_size": "32MB",  # [doc] the least: an idle instance shall not hold a gigabyte
        "max_slot_wal_keep_size": _mib(log),  # [doc] unlimited by default: a lost replica would fill the disk
        "checkpoint_completion_target": "0.9",  # [doc] the default since 14
        # Archive: what is lost with the machine is at most a minute
        "archive_mode": "on",
        "archive_timeout": "60s",  # [doc] "a minute or so is usually reasonable"
        "temp_file_limit": f"{size.disk // 5 // KIB}kB",  # [doc] of one session; unlimited by default
        # Security
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_min_protocol_version": "TLSv1.2",
        # Logs hold no statement: it may hold a secret of the customer
        "log_statement": "none",
        "log_min_error_statement": "panic",
        "log_min_duration_statement": "-1",
        "log_parameter_max_length_on_error": "0",
        "log_checkpoints": "off",
        "log_line_prefix": "'%m [%p] %q%u@%d '",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "lc_messages": "'C'",  # the server's messages are read by programs
        "shared_preload_libraries": "'pg_stat_statements'" if size.insights else "''",
    }
    if size.insights:
        found["pg_stat_statements.max"] = "5000"  # [doc] the default
        found["pg_stat_statements.save"] = "on"
        found["pg_stat_statements.track_utility"] = "off"  # [fact] keeps the values in ALTER ROLE … PASSWORD and the like
        found["track_io_timing"] = "on"
    if major >= 17:
        found["allow_alter_system"] = "off"  # [doc] for installations whose configuration is managed from outside
        found["summarize_wal"] = "on"  # [doc] what incremental backups need
        found["wal_summary_keep_time"] = "10d"  # [doc] the default
    return found


def _mib(size: int) -> str:
    return f"{max(1, size // MIB)}MB"
