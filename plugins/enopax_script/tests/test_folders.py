"""A broken folder is refused with the remedy, and stops nobody."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from plugins.enopax_script.tests.scriptkit import write_folder

from enopax_core import Core, Settings
from enopax_core.errors import PluginRefused
from enopax_core.provider import Json, Provider
from enopax_script import EXAMPLE, plugin
from enopax_script.folder import open_folder

KEPT = {"retentionDays": 30}


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"plan": []}, "/plan: there is no such key. Did you mean plans?"),
        ({"name": ""}, "/name: String should have at least 1 character."),
        (
            {"customEndpoints": [{"name": "mend", "pth": "/mend"}]},
            "/customEndpoints/0/pth: there is no such key. Did you mean path?",
        ),
        ({"customEndpoints": [{"name": "mend"}]}, "lacks the executable mend, which provider.json names as an endpoint."),
        ({"customEndpoints": [{"name": "update"}]}, "the endpoint update has the name of a hook or of another endpoint."),
        (
            {"customEndpoints": [{"name": "mend", "path": "/{resource}"}]},
            "/{resource} uses resource, which every script is given",
        ),
        ({"schema": {"properties": {"id": {}}}}, "the schema uses id, which every script is given: choose another name."),
        ({"timeouts": {"provison": 5}}, "timeouts are seconds by the name of an executable, not provison: 5.0."),
        (KEPT, "lacks the executable restore (any extension or none)."),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_with_the_remedy(tmp_path: Path, manifest: Any, message: str) -> None:
    with pytest.raises(PluginRefused, match=re.escape(message)):
        open_folder(write_folder(tmp_path / "thing", manifest))


def test_a_manifest_that_is_no_json_is_refused_with_the_place(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "thing")
    (path / "provider.json").write_text('{"name": }')
    with pytest.raises(PluginRefused, match=r"provider\.json is no JSON: Expecting value: line 1 column 10"):
        open_folder(path)


def test_a_script_that_may_not_be_run_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "thing")
    (path / "delete.sh").chmod(0o644)
    with pytest.raises(PluginRefused, match=re.escape(f"chmod +x {path}/delete.sh")):
        open_folder(path)


def test_a_script_that_only_a_shell_could_run_is_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "thing")
    (path / "delete.sh").write_text("true\n")
    with pytest.raises(PluginRefused, match="must begin with a line such as #!/usr/bin/env bash"):
        open_folder(path)


def test_two_scripts_for_one_hook_are_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "thing")
    (path / "delete").symlink_to("/bin/true")
    with pytest.raises(PluginRefused, match=r"delete and delete\.sh both answer delete: keep one"):
        open_folder(path)


def test_a_misspelt_script_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(PluginRefused, match=r"metrix\.sh answers nothing; did you mean metrics\.sh\?"):
        open_folder(write_folder(tmp_path / "thing", metrix="true"))


def test_what_is_no_executable_may_lie_in_the_folder(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "thing")
    (path / "update.md").write_text("How to update.")
    (path / "common.bash").write_text("shared() { :; }")
    assert "update" not in open_folder(path).executables


def test_an_executable_in_any_language_answers(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "thing")
    (path / "metrics").symlink_to("/bin/true")
    assert open_folder(path).executables["metrics"].name == "metrics"


def test_capabilities_are_the_executables_that_are_there(tmp_path: Path) -> None:
    write_folder(tmp_path / "data/providers/thing", update="true")
    core = Core(Settings(data_dir=tmp_path / "data"), plugins=[plugin])
    (known,) = core.registry.providers
    assert (known.endpoint, known.capabilities) == ("thing", ["provision", "status", "update", "delete"])


def test_a_broken_folder_is_reported_and_stops_nobody(tmp_path: Path) -> None:
    below = tmp_path / "data/providers"
    write_folder(below / "a", {"endpoint": "a", "retentionDays": 1})
    write_folder(below / "b", {"endpoint": "b"})
    write_folder(below / "c", {"endpoint": "Not An Endpoint"})
    write_folder(below / "d", {"endpoint": "d", "schema": {"type": "nonsense"}})
    core = Core(Settings(data_dir=tmp_path / "data"), plugins=[plugin])
    assert [known.endpoint for known in core.registry.providers] == ["b"]
    assert [problem.message.partition(" lacks")[0].partition(":")[0] for problem in core.registry.problems] == [
        f"{below}/a",
        f"{below}/c",
        f"{below}/d",
    ]


def test_folders_come_from_the_settings_too(tmp_path: Path) -> None:
    sections = {"script": {"folders": [EXAMPLE, tmp_path / "nowhere"]}}
    core = Core(Settings(data_dir=tmp_path / "data", sections=sections), plugins=[plugin])
    assert [known.endpoint for known in core.registry.providers] == ["greeting"]
    assert (
        core.registry.problems[0].message == f"{tmp_path}/nowhere is no folder: it should hold provider.json and the executables."
    )


def test_each_folder_has_a_class_of_its_own(tmp_path: Path) -> None:
    one, two = (write_folder(tmp_path / name, {"endpoint": name}) for name in ("one", "two"))
    core = Core(Settings(data_dir=tmp_path / "data", sections={"script": {"folders": [one, two]}}), plugins=[plugin])
    kinds: set[type[Provider[Json]]] = {type(known.provider) for known in core.registry.providers}
    assert len(kinds) == 2
