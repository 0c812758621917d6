"""A new key for everything that is sealed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from cryptography.fernet import Fernet, InvalidToken
from tests.integration.conftest import PLACE, WHERE, House, opened

from enopax_core import Change, Core, hookimpl
from enopax_core.core.reseal import reseal, rotate_secrets
from enopax_core.errors import DataDirectoryInUse
from enopax_core.ledger import resources
from enopax_core.provider import Price
from enopax_core.vault import Vault

pytestmark = pytest.mark.anyio


def keys(data_dir: Path) -> list[bytes]:
    """What the key file holds."""
    return (data_dir / "vault.keys").read_bytes().split()


async def test_after_a_rotation_the_old_key_opens_nothing_and_the_secrets_are_there(data_dir: Path) -> None:
    async with opened(data_dir) as house:
        made = await house.make()
    [old] = keys(data_dir)
    assert await rotate_secrets(data_dir) == 1
    assert keys(data_dir) != [old]
    async with opened(data_dir) as house:
        secrets = await house.get(f"/v1/shelf/{made['id']}/credentials")
        assert secrets["credentials"] == made["credentials"]
        record = await house.core.ledger.read(lambda t: resources.get(t, made["id"]))
    assert record is not None
    assert record.sealed_credentials is not None
    with pytest.raises(InvalidToken):
        Fernet(old).decrypt(record.sealed_credentials)


async def test_a_rotation_that_was_interrupted_is_finished_by_the_next_start(data_dir: Path) -> None:
    async with opened(data_dir) as house:
        made = await house.make()
    Vault(data_dir / "vault.keys").add_key()  # and then the power went
    assert len(keys(data_dir)) == 2
    async with opened(data_dir) as house:
        assert len(keys(data_dir)) == 1
        secrets = await house.get(f"/v1/shelf/{made['id']}/credentials")
        assert secrets["credentials"] == made["credentials"]


async def test_a_rotation_beside_a_running_server_is_refused(data_dir: Path) -> None:
    async with opened(data_dir):
        with pytest.raises(DataDirectoryInUse):
            await rotate_secrets(data_dir)
        assert len(keys(data_dir)) == 1


class RotatesMeanwhile:
    """A new key, and everything sealed under it, once, after a change was made ready and before it is written."""

    def __init__(self) -> None:
        self.core: Core | None = None

    @hookimpl
    async def enopax_admit(self, change: Change) -> Price | None:
        core, self.core = self.core, None
        if core is not None:
            core.vault.add_key()
            await reseal(core.vault, core.ledger)
        return None


async def test_what_was_sealed_before_a_rotation_and_is_written_after_it_stays_readable(data_dir: Path) -> None:
    meanwhile = RotatesMeanwhile()
    async with opened(data_dir, meanwhile) as house:
        meanwhile.core = house.core
        made = await house.make(password="first")
    async with opened(data_dir) as house:  # which knows the newest key alone
        record = await house.core.ledger.read(partial(resources.get, id=made["id"]))
        assert record is not None
        assert house.core.vault.open(record.sealed_config) == {"password": "first"}


# ── Killed ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# The command line in a process that kills itself at one of its steps: a key file about to be written, one that was, a page
# of records about to be written, a secret in the middle of it. It says how many steps there were.
KILLED = """
import os, signal, sys
from enopax_core import vault
from enopax_core.core import reseal
from enopax_core.ledger.sqlite import SqliteLedger

reseal.PAGE = 1
fatal, steps = int(sys.argv.pop(1)), 0

def stepping(function, *, after=False):
    def wrapped(*arguments, **named):
        global steps
        steps += 1
        if steps == fatal:
            if after:
                function(*arguments, **named)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return wrapped

vault.write_private = stepping(stepping(vault.write_private, after=True))
vault.Vault.reseal = stepping(vault.Vault.reseal)
SqliteLedger.write = stepping(SqliteLedger.write)

from enopax_core.cli import main
try:
    main()
finally:
    print("steps", steps)
"""


async def killed_at(step: int, *arguments: str) -> int:
    """Run a command that is killed at one of its steps; how many it had, where it came to its end."""
    command = [sys.executable, "-c", KILLED, str(step), *arguments]
    ended = await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    )
    if ended.returncode == 0:
        return int(ended.stdout.split()[-1])
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return 0


async def secrets_of(house: House) -> list[Any]:
    """Everything that is sealed: of every shelf, and of an answer that is given again."""
    found: list[Any] = []
    for shown in (await house.owner.get("/v1/shelf", params=WHERE)).json()["resources"]:
        record = await house.core.ledger.read(partial(resources.get, id=shown["id"]))
        assert record is not None
        sealed = (record.sealed_config, record.sealed_applied, record.sealed_state, record.sealed_credentials)
        found.append([house.core.vault.open(one) for one in sealed])
    body = {"name": "two", "password": "second secret", **PLACE}
    return [*found, (await house.owner.post("/v1/shelf", json=body, headers={"Idempotency-Key": "k"})).json()]


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_wherever_a_rotation_and_the_start_after_it_are_killed_every_secret_is_readable(
    data_dir: Path, tmp_path: Path
) -> None:
    async with opened(data_dir) as house:
        await house.make("one", password="first secret")
        await secrets_of(house)  # makes the second one
        expected = await secrets_of(house)
    [old] = keys(data_dir)
    step = steps = 0
    while not steps:
        step += 1
        installation = shutil.copytree(data_dir, tmp_path / f"{step}")
        steps = await killed_at(step, "rotate-secrets", "--data-dir", str(installation))
        if step % 3 == 0:  # a start costs more than all the rest
            await killed_at(step // 3, "serve", "--port", "0", "--ssh-port", "0", "--data-dir", str(installation))
        begun = keys(installation) != [old]
        async with opened(installation):
            assert len(keys(installation)) == 1
        assert (keys(installation) == [old]) is not begun
        async with opened(installation) as house:  # which knows the one key alone
            assert await secrets_of(house) == expected
    assert step == steps + 1 > 12
