"""Settings: options beat environment beats file, and whatever is wrong is told with its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from enopax_core.errors import SettingsError
from enopax_core.settings import Settings, load_settings


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    ssh_port: int = Field(default=2222, le=65535, json_schema_extra={"option": "--ssh-port"})
    motto: str = "none"
    hosts: tuple[str, ...] = ()


SECTIONS: dict[str, type[BaseModel]] = {"git": Section}


def load(cwd: Path, options: dict[str, object] | None = None, **environ: str) -> Settings:
    return load_settings(options or {}, environ, cwd, SECTIONS)


def complaint(cwd: Path, options: dict[str, object] | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(cwd, options, **environ)
    return caught.value.message.replace(str(cwd), "…")


# ── Precedence ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_options_beat_environment_beats_file(tmp_path: Path) -> None:
    (tmp_path / "enopax.toml").write_text("port = 1\nworkers = 1\ngrace = 1\n[git]\nssh_port = 1\nmotto = 'file'\n")
    environ = {"ENOPAX_PORT": "2", "ENOPAX_WORKERS": "2", "ENOPAX_SSH_PORT": "2"}
    settings = load(tmp_path, {"port": 3, "host": None, "git.ssh_port": 3}, **environ)
    assert (settings.port, settings.workers, settings.grace, settings.host) == (3, 2, 1.0, "127.0.0.1")
    assert settings.section("git", Section) == Section(ssh_port=3, motto="file")


def test_the_file_in_the_data_directory_comes_before_the_one_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "enopax.toml").write_text("port = 1\n")
    data_dir = tmp_path / "d"
    assert load(tmp_path, {"data_dir": data_dir}).port == 1
    data_dir.mkdir()
    (data_dir / "enopax.toml").write_text("grace = 2\n")
    settings = load(tmp_path, {"data_dir": data_dir})
    assert (settings.port, settings.grace) == (3001, 2.0)
    assert load(tmp_path, ENOPAX_DATA_DIR=str(data_dir)).grace == 2.0


def test_a_plugins_setting_is_a_variable_by_section_and_by_option(tmp_path: Path) -> None:
    assert load(tmp_path, ENOPAX_GIT_SSH_PORT="5").section("git", Section).ssh_port == 5
    assert load(tmp_path, ENOPAX_SSH_PORT="6").section("git", Section).ssh_port == 6
    assert load(tmp_path, ENOPAX_GIT_MOTTO="7").section("git", Section).motto == "7"


def test_lists_are_separated_by_commas_in_a_variable_and_are_lists_in_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, ENOPAX_ALLOWED_ORIGINS="https://a.example, https://b.example").allowed_origins == (
        "https://a.example",
        "https://b.example",
    )
    (tmp_path / "enopax.toml").write_text("disabled_plugins = ['git']\n")
    assert load(tmp_path).disabled_plugins == ("git",)


def test_a_plugins_list_is_written_with_commas_too(tmp_path: Path) -> None:
    assert load(tmp_path, ENOPAX_GIT_HOSTS="a, b,").section("git", Section).hosts == ("a", "b")


@pytest.mark.parametrize(("word", "auth"), [("1", False), ("true", False), ("Yes", False), ("0", True), ("no", True), ("", True)])
def test_no_auth_is_a_variable_and_a_key_as_well(tmp_path: Path, word: str, auth: bool) -> None:
    assert load(tmp_path, ENOPAX_NO_AUTH=word).auth is auth
    (tmp_path / "enopax.toml").write_text("no_auth = true\n")
    assert load(tmp_path).auth is False
    assert load(tmp_path, ENOPAX_NO_AUTH="0").auth is True


def test_a_variable_that_is_empty_or_of_something_else_is_not_a_setting(tmp_path: Path) -> None:
    assert load(tmp_path, ENOPAX_PORT="", ENOPAX_URL="http://elsewhere.example", PORT="5").port == 3001


# ── What is wrong ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bad_value_is_told_with_the_place_where_it_stands(tmp_path: Path) -> None:
    number = "Input should be a valid integer, unable to parse string as an integer."
    assert complaint(tmp_path, {"port": 70000}) == "--port: Input should be less than or equal to 65535."
    assert complaint(tmp_path, {"git.ssh_port": "x"}) == f"--ssh-port: {number}"
    assert complaint(tmp_path, ENOPAX_PORT="x") == f"ENOPAX_PORT: {number}"
    assert complaint(tmp_path, ENOPAX_NO_AUTH="perhaps") == "ENOPAX_NO_AUTH: this must be true or false."
    assert complaint(tmp_path, ENOPAX_TRUSTED_PROXIES="10.0.0.0/8, proxy") == (
        "ENOPAX_TRUSTED_PROXIES: Value error, 'proxy' does not appear to be an IPv4 or IPv6 network."
    )
    (tmp_path / "enopax.toml").write_text("[git]\nssh_port = 'x'\n")
    assert complaint(tmp_path) == f"…/enopax.toml: [git] ssh_port: {number}"
    (tmp_path / "enopax.toml").write_text("workers = 0\n")
    assert complaint(tmp_path) == "…/enopax.toml: workers: Input should be greater than or equal to 1."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("data_dri = 'x'", "there is no key data_dri. Did you mean data_dir?"),
        ("[gti]\nssh_port = 1", "there is no section [gti]. Did you mean git?"),
        ("[git]\nssh_prot = 1", "[git] has no key ssh_prot. Did you mean ssh_port?"),
        ("[git]\nzzzzzzzz = 1", "[git] has no key zzzzzzzz. Known are hosts, motto, ssh_port."),
        ("[sections.git]\nssh_port = 1", "there is no section [sections]. Known are git."),
        ("sections = 1", "there is no key sections."),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "enopax.toml").write_text(content)
    assert complaint(tmp_path).startswith(f"…/enopax.toml: {said}")


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "enopax.toml").write_text("[git")
    assert complaint(tmp_path).startswith("…/enopax.toml cannot be read: ")


def test_the_section_of_a_plugin_that_cannot_be_imported_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "enopax.toml").write_text("[broken]\nanything = 1\n")
    assert load_settings({}, {}, tmp_path, SECTIONS, ["broken"]).port == 3001
    assert "there is no section [broken]" in complaint(tmp_path)


# ── Embedding ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_data_directory_alone_is_enough_for_an_embedder(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert settings.section("git", Section) == Section()
    given = Settings(data_dir=tmp_path, sections={"git": {"ssh_prot": 1}})
    with pytest.raises(SettingsError) as caught:
        given.section("git", Section)
    assert caught.value.message == "[git] ssh_prot: Extra inputs are not permitted. Did you mean ssh_port?"


def test_the_environment_of_a_process_does_not_reach_an_embedder(tmp_path: Path) -> None:
    code = "import enopax_core; print(enopax_core.Settings(data_dir='d').port)"
    environ = {"ENOPAX_PORT": "7", "PYTHONPATH": ":".join(sys.path)}
    assert subprocess.check_output([sys.executable, "-c", code], env=environ, text=True, cwd=tmp_path) == "3001\n"


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
