"""A new key for everything that is sealed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken
from tests.integration.conftest import opened

from enopax_core.core.reseal import rotate_secrets
from enopax_core.errors import DataDirectoryInUse
from enopax_core.ledger import resources
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
