"""Folders with executables as providers, in a core."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from enopax_core import INSTALLATION, Core, Settings
from enopax_core.errors import PermanentError, PluginRefused, TemporaryError
from enopax_script import plugin
from enopax_script.folder import Folder
from enopax_script.run import Script, parse_progress

pytestmark = pytest.mark.anyio
PLACE = {"organisationName": "Acme", "projectName": "Web"}
Write = Callable[..., Path]


@pytest.fixture
def write(data_dir: Path) -> Write:
    """Write a provider's folder into the data directory."""

    def write(name: str = "box", description: dict[str, Any] | None = None, **scripts: str) -> Path:
        folder = data_dir / "providers" / name
        folder.mkdir(parents=True)
        content = {"name": name, "endpoint": name, **(description or {})}
        (folder / "provider.json").write_text(json.dumps(content))
        for hook, text in {"provision": "", "status": "", "delete": "", **scripts}.items():
            path = folder / f"{hook.replace('_', '-')}.sh"
            path.write_text(f"#!/usr/bin/env bash\n{text}\n")
            path.chmod(0o755)
        return folder

    return write


@pytest.fixture
async def core(data_dir: Path) -> AsyncIterator[Core]:
    """A core with what was written before."""
    async with Core(Settings(data_dir=data_dir), plugins=[plugin]) as opened:
        yield opened


async def make(core: Core, **fields: Any) -> Any:
    """Provision a box; its operation as it ended, and its record."""
    accepted = await core.resources.provision(INSTALLATION, "box", {"name": "one", **PLACE, **fields})
    ended = await core.operations.ended(accepted)
    seen = await core.resources.find(INSTALLATION, "box", accepted.resource.id)
    return ended, seen.record


async def test_a_script_gets_the_resource_and_gives_its_outcome(write: Write, data_dir: Path) -> None:
    schema = {"type": "object", "properties": {"size": {"type": "integer", "default": 3}}}
    provision = 'read -r given; echo "$given" > given; echo \'{"access": "box://1", "state": {"n": 1}}\''
    write(description={"schema": schema}, provision=provision)
    async with Core(Settings(data_dir=data_dir), plugins=[plugin]) as core:
        ended, record = await make(core, size=5)
    assert (ended.state, record.access) == ("succeeded", "box://1")
    given = json.loads((data_dir / "script/box/given").read_text())
    resource = given["resource"]
    assert (resource["config"], resource["organisation"], given["operation"]["attempt"]) == ({"size": 5}, "Acme", 1)


async def test_a_script_sees_nothing_of_the_server_s_environment(
    write: Write, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    write(provision="env > env")
    async with Core(Settings(data_dir=data_dir), plugins=[plugin]) as core:
        await make(core)
    seen = {line.partition("=")[0] for line in (data_dir / "script/box/env").read_text().splitlines()}
    assert seen <= {"PATH", "LANG", "HOME", "ENOPAX_RESOURCE_ID", "PWD", "SHLVL", "_"}


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ("echo 'error No room left.' >&2; exit 1", "provider-refused", "No room left."),
        ("exit 3", "provider-refused", "provision.sh ended with status 3."),
        ("echo nonsense", "provider-refused", "provision.sh wrote something that is no JSON."),
        ("echo '{\"access\": 5}'", "provider-refused", "provision wrote a wrong access: Input should be a valid string."),
    ],
)
async def test_a_failure_says_why(write: Write, data_dir: Path, script: str, code: str, message: str) -> None:
    write(provision=script)
    async with Core(Settings(data_dir=data_dir), plugins=[plugin]) as core:
        ended, record = await make(core)
    assert (ended.state, ended.error, record.status) == ("failed", {"code": code, "message": message}, "failed")


async def test_status_75_is_tried_again(write: Write, data_dir: Path) -> None:
    write(provision="[[ -e tried ]] || { touch tried; exit 75; }")
    async with Core(Settings(data_dir=data_dir), plugins=[plugin]) as core:
        ended, _ = await make(core)
    assert (ended.state, ended.attempt) == ("succeeded", 2)


async def test_what_is_not_there_is_not_declared(write: Write, data_dir: Path) -> None:
    write(update="")
    core = Core(Settings(data_dir=data_dir), plugins=[plugin])
    assert list(core.registry.provider("box").capabilities) == ["provision", "status", "update", "delete"]


async def test_a_broken_folder_is_told_of_and_stops_nobody(
    write: Write, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write()
    broken = write("broken", {"endpiont": "x"})
    lacking = write("lacking")
    (lacking / "status.sh").chmod(0o644)
    with caplog.at_level(logging.ERROR):
        core = Core(Settings(data_dir=data_dir), plugins=[plugin])
    assert [known.endpoint for known in core.registry.providers] == ["box"]
    assert f"{broken / 'provider.json'}: endpiont" in caplog.text
    assert f"{lacking} lacks status" in caplog.text
    with pytest.raises(PluginRefused):
        Folder(data_dir / "nowhere")


async def test_custom_endpoints_run_their_executables(write: Write, data_dir: Path) -> None:
    custom = [
        {"name": "peek", "method": "GET", "path": "/peek/{what}"},
        {"name": "shake", "method": "POST", "path": "/shake", "permission": "operate"},
    ]
    write(
        description={"customEndpoints": custom},
        peek='python3 -c \'import json,sys; print(json.dumps({"saw": json.load(sys.stdin)["path"]["what"]}))\'',
        shake='python3 -c \'import json,sys; print(json.dumps({"shook": json.load(sys.stdin)["request"]["times"]}))\'',
    )
    async with Core(Settings(data_dir=data_dir), plugins=[plugin]) as core:
        _, record = await make(core)
        match = core.endpoints.match("box", "GET", "peek/lid")
        seen = await core.endpoints.find(INSTALLATION, match, record.id)
        assert await core.endpoints.call(match, seen, None) == {"saw": "lid"}
        match = core.endpoints.match("box", "POST", "shake")
        accepted = await core.endpoints.accept(INSTALLATION, match, seen, {"times": 3})
        ended = await core.operations.ended(accepted)
        assert core.vault.open(ended.sealed_result) == {"result": {"shook": 3}}


async def test_cancelling_kills_a_script_and_everything_it_started(write: Write, data_dir: Path) -> None:
    write(provision="sleep 300 & echo $! > child; echo 'progress allocate Waiting' >&2; wait")
    async with Core(Settings(data_dir=data_dir), plugins=[plugin]) as core:
        accepted = await core.resources.provision(INSTALLATION, "box", {"name": "one", **PLACE})
        child = data_dir / "script/box/child"
        with anyio.fail_after(30):
            while not child.exists() or not child.read_text():  # noqa: ASYNC110  # a script has no event for it
                await anyio.sleep(0.01)
        assert accepted.operation is not None
        await core.operations.cancel(INSTALLATION, accepted.operation.id)
        assert (await core.operations.ended(accepted)).state == "cancelled"
    pid = int(child.read_text())
    with anyio.fail_after(30):
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]:  # noqa: ASYNC110, ASYNC240
            await anyio.sleep(0.01)


async def test_two_scripts_never_work_on_one_resource(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\ntouch started\nwhile [ ! -e go ]; do sleep 0.01; done\n")
    slow.chmod(0o755)
    script = Script(tmp_path)
    nothing: frozenset[str] = frozenset()
    async with anyio.create_task_group() as group:

        async def first() -> None:
            await script.run(slow, "one", {}, secrets=nothing)

        group.start_soon(first)
        with anyio.fail_after(30):
            while not (tmp_path / "started").exists():  # noqa: ASYNC110  # a script has no event for it
                await anyio.sleep(0.01)
        with pytest.raises(TemporaryError, match="earlier attempt"):
            await script.run(slow, "one", {}, secrets=nothing)
        (tmp_path / "go").touch()
        await script.run(slow, "another", {}, secrets=nothing)


async def test_a_script_that_writes_for_ever_is_stopped(tmp_path: Path) -> None:
    loud = tmp_path / "loud"
    loud.write_text("#!/bin/sh\nyes\n")
    loud.chmod(0o755)
    with pytest.raises(PermanentError, match="wrote more than"):
        await Script(tmp_path).run(loud, "one", {}, secrets=frozenset())


async def test_secrets_do_not_reach_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chatty = tmp_path / "chatty"
    chatty.write_text("#!/bin/sh\necho 'the token is hunter2' >&2\n")
    chatty.chmod(0o755)
    with caplog.at_level(logging.INFO):
        await Script(tmp_path).run(chatty, "one", {}, secrets=frozenset({"hunter2"}))
    assert "the token is ***" in caplog.text


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("verify 80% Looking", ("verify", "Looking", 80)),
        ("verify Looking at it", ("verify", "Looking at it", None)),
        ("verify", ("verify", "", None)),
    ],
)
def test_progress_is_read_from_a_line(line: str, found: tuple[str, str, int | None]) -> None:
    assert parse_progress(line) == found
