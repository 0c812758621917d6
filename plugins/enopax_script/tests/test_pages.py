"""The pages about script providers: complete, and their scripts run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel
from tests.unit.pages import FENCE, compare, named, section, text, write_files

from enopax_core.testing import ProviderConformance, Scenario
from enopax_script import plugin
from enopax_script.folder import ANSWERED
from enopax_script.manifest import GIVEN, Endpoint, Manifest
from enopax_script.process import WORDS

REFERENCE = "reference/script-providers.md"


class TestNote(ProviderConformance):
    """The guide's provider, written word for word."""

    config: ClassVar = {"text": "Milk"}

    def plugin(self, data_dir: Path) -> object:
        write_files("howto/bash-provider.md", data_dir.parent)
        for script in data_dir.glob("providers/note/*.sh"):
            script.chmod(0o755)
        return plugin


@pytest.mark.anyio
async def test_the_script_that_was_moved_runs(scenario: Callable[..., Scenario], tmp_path: Path) -> None:
    (shown,) = [match["content"] for match in FENCE.finditer(text("howto/move-from-bash-scripts.md")) if match["kind"] == "diff"]
    moved = "".join(line[1:] + "\n" for line in shown.splitlines() if not line.startswith("-"))
    made = scenario(provision=moved.replace("/srv/boxes", str(tmp_path)))
    for _ in range(2):  # as after a crash
        result = await made.run("provision", made.new())
    assert result.outcome.access == "box://acme-web-one-abc123"


@pytest.mark.parametrize(("heading", "model"), [("provider.json", Manifest), ("Custom endpoints", Endpoint)])
def test_every_key_is_documented(heading: str, model: type[BaseModel]) -> None:
    compare(named(section(REFERENCE, heading)), {field.alias or name for name, field in model.model_fields.items()})


def test_every_executable_is_documented() -> None:
    compare(named(section(REFERENCE, "Executables")), ANSWERED)


def test_every_name_that_a_script_is_given_is_documented() -> None:
    assert set(GIVEN) <= named(section(REFERENCE, "Input"))


def test_every_word_that_speaks_to_the_core_is_documented() -> None:
    compare({line.split()[0] for line in named(section(REFERENCE, "Output"))}, WORDS)


def test_what_the_pages_name_as_environment_is_what_a_script_gets() -> None:
    row = re.search(r"^\| environment \|(.*)$", text(REFERENCE), re.MULTILINE)
    assert row is not None
    assert set(re.findall(r"`([A-Z_]+)", row[1])) == {"PATH", "LC_ALL", "HOME", "DATA", "ENOPAX_RUN"}
