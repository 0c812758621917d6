"""Writes an installation of this version, for later versions to prove that they can read it.

    python -m tests.acceptance.upgrade tests/fixtures

makes one with something of every kind that an installation may hold, and keeps a backup of it with what its API said of it:
`<version>.tar.gz` and `<version>.json`. Done once for each release; `test_upgrade.py` takes over whatever lies there, and what
this version writes.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
from tests.acceptance.gitkit import Person

from enopax_core import Core, Settings, create_app
from enopax_core.core.reseal import rotate_secrets

MOODS = Path(__file__).with_name("moods")
HOOKS = ("provision", "status", "update", "delete", "restore", "purge", "suspend", "resume", "sigh")
ENDPOINTS = ("example", "git-repo", "mood")
PLACE = {"organisationName": "Acme", "projectName": "Größe 1"}
WHERE = {"org": "Acme", "project": "Größe 1"}
WORDS = frozenset({"conditions", "error", "message", "progress"})
KEYED = {"Idempotency-Key": "once"}
CALM = {"name": "calm", **PLACE, "secret": "never shown"}
PATIENCE = 60.0


class MovedClock:
    """Goes on from a moment that is not now."""

    def __init__(self, moment: datetime) -> None:
        self.ahead = moment - datetime.now(UTC)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Installation:
    """An open core, its API and its clock."""

    def __init__(self, core: Core, client: httpx.AsyncClient, clock: MovedClock) -> None:
        self.core, self.client, self.clock = core, client, clock

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """What a request that must succeed is answered with."""
        answer = await self.client.request(method, f"/v1{path}", json=body, **more)
        assert answer.is_success, f"{method} {path}: {answer.text}"
        return answer.json()

    async def listed(self, endpoint: str, **more: str) -> dict[str, str]:
        """Ids of a project's resources, by name."""
        found = await self.ask("GET", f"/{endpoint}", params={**WHERE, "page_size": 1000, **more})
        return {one["name"]: one["id"] for one in found["resources"]}

    async def becomes(self, path: str, condition: Callable[[Any], bool]) -> Any:
        """What a path shows, once it is so."""
        with anyio.fail_after(PATIENCE):
            while not condition(found := await self.ask("GET", path)):  # noqa: ASYNC110  # seen as a client sees it
                await anyio.sleep(0.02)
        return found


@contextlib.asynccontextmanager
async def opened(data_dir: Path, since: datetime | None = None) -> AsyncIterator[Installation]:
    """Open an installation; `since` is what its clock says then, where that is not the time."""
    clock = MovedClock(since or datetime.now(UTC))
    settings = Settings(data_dir=data_dir, sections={"git": {"ssh_port": 0}})
    async with Core(settings, clock=clock) as core:
        key = {"X-API-Key": core.owner_key_file.read_text().strip()}
        transport = httpx.ASGITransport(create_app(core))
        async with httpx.AsyncClient(transport=transport, base_url="http://enopax.test", headers=key, timeout=PATIENCE) as client:
            yield Installation(core, client, clock)


async def said(installation: Installation) -> dict[str, Any]:
    """What the API says of everything in it that nothing waits for, by path."""
    paths = ["/keys"]
    for endpoint in ENDPOINTS:
        ids = [*(await installation.listed(endpoint)).values(), *(await installation.listed(endpoint, status="deleted")).values()]
        paths += [f"/{endpoint}/{id}{more}" for id in ids for more in ("", "/credentials", "/operations")]
    found = {path: await installation.client.get(f"/v1{path}") for path in paths}
    answers = {path: answer.json() for path, answer in found.items() if answer.is_success}
    waiting = [path for path, answer in answers.items() if "operation" in answer]
    return {path: answer for path, answer in answers.items() if not any(path.startswith(one) for one in waiting)}


async def use(installation: Installation, person: Person) -> dict[str, str]:
    """Something of every kind; the keys that people were given, by name."""
    ask = installation.ask
    kept = await ask("POST", "/example", {"name": "kept", **PLACE})
    await ask("PUT", f"/example/{kept['id']}", {"message": "as it was written"})
    await ask("POST", f"/example/{kept['id']}/credentials/rotate")
    await ask("POST", "/example", {"name": "elsewhere", "organisationName": "Umbrella", "projectName": "Web"})

    code = await ask("POST", "/git-repo", {"name": "code", **PLACE, "sshKeys": [person.public_key]})
    for name, value in (("user.name", "Alice"), ("user.email", "alice@example.com")):
        person.git("config", "--global", name, value)
    tree = person.work_tree("tree")
    await anyio.to_thread.run_sync(partial(person.git, "push", "--quiet", code["connection"]["ssh"], "main", cwd=tree))
    gone = await ask("POST", "/git-repo", {"name": "gone", **PLACE})
    await ask("DELETE", f"/git-repo/{gone['id']}")
    await _moods(installation)

    roles = {"bot": "member", "revoked": "admin"}
    made = {
        name: await ask("POST", "/keys", {"name": name, "role": role, "organisation": "Acme"}) for name, role in roles.items()
    }
    await ask("DELETE", f"/keys/{made['revoked']['id']}")
    return {name: key["key"] for name, key in made.items()}


async def _moods(installation: Installation) -> None:
    """Resources in every state, and operations in every one but `running`: a backup waits for those."""
    ask = installation.ask
    calm = await ask("POST", "/mood", CALM, headers=KEYED)
    await ask("POST", f"/mood/{calm['id']}/sigh")
    for health in ("degraded", "maintenance"):
        await ask("POST", "/mood", {"name": health, **PLACE, "health": health})
    held = await ask("POST", "/mood", {"name": "suspended", **PLACE})
    await installation.core.host.resources.hold(held["id"], "overdue", "The bill is not paid.")
    await installation.becomes(f"/mood/{held['id']}", lambda one: "operation" not in one)
    refused = await installation.client.post("/v1/mood", json={"name": "failed", **PLACE, "fails": "provision"})
    assert refused.json()["status"] == "failed", refused.text
    waits = {"provisioning": "provision", "cancelled": "provision", "updating": "update", "deleting": "delete"}
    later = {"Prefer": "respond-async"}
    for name, hook in waits.items():
        made = await ask("POST", "/mood", {"name": name, **PLACE, "waits": hook}, headers=later if hook == "provision" else {})
        path = f"/mood/{made['id']}"
        if hook == "update":
            await ask("PUT", path, {"secret": "another"}, headers=later)
        if hook == "delete":
            await ask("DELETE", path, headers=later)
        shown = await installation.becomes(path, lambda one: "operation" in one)
        operation = f"/operations/{shown['operation']}"
        await installation.becomes(operation, lambda one: (one["state"], one["attempt"]) == ("queued", 1))
        if name == "cancelled":
            await ask("POST", f"{operation}/cancel")


async def write(folder: Path) -> tuple[Path, Path]:
    """Make an installation; the files with its backup and with what is known of it."""
    with tempfile.TemporaryDirectory(prefix="enopax-upgrade-") as name:
        scratch = Path(name)
        provider = scratch / "data/providers/mood"
        provider.mkdir(parents=True)
        shutil.copy(MOODS / "provider.json", provider)
        for hook in HOOKS:
            shutil.copy(MOODS / "mood", provider / hook)
        (scratch / "data/enopax.toml").write_text("workers = 3\n")
        async with opened(scratch / "data") as installation:
            keys = await use(installation, Person(scratch / "alice"))
        await rotate_secrets(scratch / "data")
        async with opened(scratch / "data") as installation:
            known = {
                "version": version("enopax-core"),
                "keys": keys,
                "anchor": (await installation.ask("GET", "/admin/audit/verify"))["anchor"],
                "answers": await said(installation),
            }
            archive = (await installation.client.post("/v1/admin/backup")).content
        assert name.encode() not in archive, "the installation names a path of this machine"
    backup = folder / f"{known['version']}.tar.gz"
    notes = notes_of(backup)
    backup.write_bytes(gzip.compress(archive, mtime=0))
    notes.write_text(json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    return backup, notes


def notes_of(backup: Path) -> Path:
    """Where it is written down what was known of an installation."""
    return backup.with_name(backup.name.removesuffix(".tar.gz") + ".json")


def differences(then: Any, now: Any, where: str = "") -> list[str]:
    """Where something that was said is not said any more. What is said beside it is no difference, nor are words for people."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        left = frozenset() if where.endswith("/config") else WORDS
        return [line for key in then.keys() - left for line in differences(then[key], now.get(key), f"{where}/{key}")]
    if isinstance(then, list) and isinstance(now, list) and len(then) <= len(now):
        pairs = enumerate(zip(then, now, strict=False))
        return [line for number, (one, other) in pairs for line in differences(one, other, f"{where}/{number}")]
    return [] if then == now else [f"{where}: {then!r} has become {now!r}"]


def soon_after(known: Mapping[str, Any]) -> datetime:
    """A minute after the last thing that happened: what waits is not due yet, and nothing has expired."""
    times = [one["createdAt"] for answer in known["answers"].values() for one in answer.get("operations", ())]
    return max(datetime.fromisoformat(time) for time in times) + timedelta(minutes=1)


if __name__ == "__main__":
    anyio.run(write, Path(sys.argv[1]))
