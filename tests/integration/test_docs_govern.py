"""The governing plugin of the how-to guide, as it is written there."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import anyio
import pytest
from tests.integration.conftest import PLACE, opened
from tests.unit.pages import write_files

QUOTA = {"quota": {"resources": 2}}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The plugin's folder, as a reader makes it."""
    write_files("howto/govern.md", tmp_path / "quota")
    return tmp_path / "quota"


@pytest.fixture
def quota(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The plugin, imported."""
    monkeypatch.syspath_prepend(str(package / "src"))
    yield importlib.import_module("enopax_quota")
    del sys.modules["enopax_quota"]


@pytest.mark.anyio
async def test_one_too_many_is_refused_until_another_is_deleted(data_dir: Path, quota: ModuleType) -> None:
    async with opened(data_dir, quota, sections=QUOTA) as house:
        first, _ = await house.make("one"), await house.make("two")
        refused = await house.owner.post("/v1/shelf", json={"name": "three", **PLACE})
        assert (refused.status_code, refused.json()["error"]) == (402, "A project may have 2 resources: delete one first.")
        await house.owner.delete(f"/v1/shelf/{first['id']}")
        await house.make("three")
        assert (await house.owner.post(f"/v1/shelf/{first['id']}/restore")).status_code == 402


@pytest.mark.anyio
async def test_of_many_at_once_as_many_are_let_in_as_may_be(data_dir: Path, quota: ModuleType) -> None:
    async with opened(data_dir, quota, sections=QUOTA) as house:
        answers: list[int] = []

        async def ask(number: int) -> None:
            answers.append((await house.owner.post("/v1/shelf", json={"name": f"n{number}", **PLACE})).status_code)

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(ask, number)
        assert sorted(answers) == [201, 201, *[402] * 6]


def test_it_passes_the_kit(package: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", str(package), "-p", "no:cacheprovider", str(package / "tests")],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4000:]
