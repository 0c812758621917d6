"""Whether the machine holds anything of resources that do not exist."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence

from enopax_core.core.doctor.installation import Installation, found
from enopax_core.engine.orphans import Orphans
from enopax_core.errors import EnopaxError
from enopax_core.records.finding import Finding

log = logging.getLogger(__name__)
NAME, MEND = "orphans", "enopax doctor --fix"


async def check(installation: Installation) -> Sequence[Finding]:
    """Services and backends of resources that do not exist; at rest nobody can be asked."""
    orphans = installation.orphans
    if orphans is None:
        return []
    try:
        stray = await orphans.services()
    except EnopaxError as error:
        return [Finding(check=NAME, severity="warning", message=error.message, remedy="look into the server's log")]
    worse = [*await remove(installation, orphans, stray)] if installation.fix else [*services(stray)]
    worse += await backends(installation, orphans, told=() if installation.fix else stray)
    return found(NAME, worse=worse, well="Nothing is left of resources that do not exist.")


def services(stray: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Processes and directories, by resource."""
    for resource, ids in stray.items():
        message = f"There is no resource {resource}, but services of it, with their data: {', '.join(ids)}."
        yield Finding(check=NAME, severity="warning", message=message, remedy=MEND)


async def remove(installation: Installation, orphans: Orphans, stray: Mapping[str, Sequence[str]]) -> Sequence[Finding]:
    """End and remove them, and give their ports back."""
    done = []
    for resource, ids in stray.items():
        try:
            await orphans.remove_services(resource)
            for owner in (resource, *ids):
                await installation.host.ports.release(owner)
        except EnopaxError as error:
            message = f"Services of {resource}, which is no resource, cannot be removed: {error.message}"
            done.append(Finding(check=NAME, severity="warning", message=message, remedy=MEND))
        else:
            message = f"There was no resource {resource}; services of it were removed: {', '.join(ids)}."
            log.warning("%s", message)
            done.append(Finding(check=NAME, severity="ok", message=message))
    return done


async def backends(installation: Installation, orphans: Orphans, told: Collection[str]) -> Sequence[Finding]:
    """What providers list beside what was `told`. It is left: only a person knows whether it is worth keeping."""
    listed = []
    for registered in installation.registry.providers:
        try:
            ids = await orphans.backends(registered)
        except EnopaxError as error:
            message = f"{registered.endpoint} does not say what it has: {error.message}"
            listed.append(Finding(check=NAME, severity="warning", message=message, remedy="look into the server's log"))
            continue
        for id in ids:
            if id not in told:
                message = f"There is no resource {id}, but {registered.endpoint} has something of it."
                remedy = f"see where: find {installation.data_dir} -name '*{id}*'; what is worth nothing, remove by hand"
                listed.append(Finding(check=NAME, severity="warning", message=message, remedy=remedy))
    return listed
