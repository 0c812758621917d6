"""How limits are kept on this machine: by cgroup version 2 where it really works, else by rlimits and nice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from enopax_core.runtime.service import Limits

PERIOD = 100_000  # microseconds: the default period of `cpu.max`
NICE = 5  # where processors cannot be limited, others at least come first
CONTROLLERS = {"cpu", "memory"}


@dataclass(frozen=True, kw_only=True)
class Enforced:
    """What the process that becomes the service does to itself, and what that means for each limit."""

    how: Mapping[str, str] = field(default_factory=dict)  # as in `Status.limits`
    cgroup: Path | None = None
    rlimits: Mapping[str, int] = field(default_factory=dict)
    nice: int = 0


def enforce(limits: Limits, base: Path | None, id: str) -> Enforced:
    """Prepare a service's limits. `base` is the cgroup for all services (`cgroup_base`); None: this machine has none."""
    how: dict[str, str] = {}
    rlimits: dict[str, int] = {}
    nice, cgroup = 0, None
    if base is not None and (limits.cpu is not None or limits.memory is not None):
        with contextlib.suppress(OSError):
            cgroup = base / id
            cgroup.mkdir(exist_ok=True)
            cpu = "max" if limits.cpu is None else str(max(1000, round(limits.cpu * PERIOD)))
            (cgroup / "cpu.max").write_text(f"{cpu} {PERIOD}")
            (cgroup / "memory.max").write_text("max" if limits.memory is None else str(limits.memory))
            how |= {name: "cgroup" for name in ("cpu", "memory") if getattr(limits, name) is not None}
    if limits.cpu is not None and "cpu" not in how:
        how["cpu"], nice = "nice", NICE
    if limits.memory is not None and "memory" not in how:
        # Not the address space (RLIMIT_AS): runtimes reserve much more of it than they ever use.
        how["memory"], rlimits["DATA"] = "rlimit", limits.memory
    if limits.open_files is not None:
        how["open_files"], rlimits["NOFILE"] = "rlimit", limits.open_files
    return Enforced(how=how, cgroup=cgroup if "cgroup" in how.values() else None, rlimits=rlimits, nice=nice)


def cgroup_base(name: str, mounts: Path = Path("/proc/mounts"), own: Path = Path("/proc/self/cgroup")) -> Path | None:
    """A cgroup in which this process may limit processors and memory of others, made as `name`; None: there is none.

    `/sys/fs/cgroup` may be a plain directory in which everything succeeds without effect, or version 1: only what is mounted
    as cgroup2 and lists the controllers counts. Root begins at the top, so that services leave the server's unit; others use
    the parent of their own cgroup, where it was delegated to them (systemd: Delegate, DelegateSubgroup).
    """
    mount = next((Path(fields[1]) for line in mounts.read_text().splitlines() if (fields := line.split())[2] == "cgroup2"), None)
    if mount is None:
        return None
    parent = mount
    if os.geteuid() != 0:
        path = next((line[3:] for line in own.read_text().splitlines() if line.startswith("0::")), "/")
        parent = (mount / path.lstrip("/")).parent
    try:
        if not CONTROLLERS.issubset((parent / "cgroup.controllers").read_text().split()):
            return None
        base = parent / name
        for folder in (parent, base):
            folder.mkdir(exist_ok=True)
            missing = CONTROLLERS.difference((folder / "cgroup.subtree_control").read_text().split())
            if missing:
                (folder / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in sorted(missing)))
    except OSError:  # read-only, not ours, or it holds processes itself
        return None
    return base
