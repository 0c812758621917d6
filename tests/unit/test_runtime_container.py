"""A service as arguments of a container engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from enopax_core.runtime import Limits, Port, Service, Stop, Volume
from enopax_core.runtime.container.arguments import Setting, how_limited, of_command, of_service
from enopax_core.runtime.user import User

USER = User(name="enopax", uid=990, gid=991, dropped=True)
HOME = Path("/data/services/a.b")


def setting(engine: str = "podman", **more: Any) -> Setting:
    return Setting(**{"engine": engine, "ulimits": {}, "init": False, "user": USER, "limits": {"cpu", "memory"}, **more})


def words(service: Service, of: Setting | None = None) -> str:
    arguments = of_service(service, "name", "installation", HOME, Path("/data/log"), of or setting())
    return " ".join(arguments.words)


def service(**more: Any) -> Service:
    return Service(**{"id": "a.b", "resource": "a", "command": ["run", "--it"], "image": "image:1", **more})


def test_values_of_the_environment_go_by_the_engines_own_and_never_as_arguments() -> None:
    secret = service(environment={"PASSWORD": "hunter2"})
    for arguments in (
        of_service(secret, "name", "installation", HOME, Path("/data/log"), setting()),
        of_command(secret, ["psql"], "name", "installation", HOME, {"TOKEN": "hunter2"}, setting()),
    ):
        assert "hunter2" not in " ".join(arguments.words) + repr(arguments)
        assert arguments.environment["PASSWORD"] == "hunter2"
        assert "PASSWORD" in arguments.words


@pytest.mark.parametrize("variable", ["PATH", "XDG_DATA_HOME", "DOCKER_HOST"])
def test_a_variable_that_the_engine_obeys_itself_is_not_changed_for_it(variable: str) -> None:
    secret = service(environment={variable: "/app"})
    arguments = of_service(secret, "name", "installation", HOME, Path("/data/log"), setting())
    assert f"{variable}=/app" in arguments.words
    assert arguments.environment == {}


def test_it_can_gain_no_privileges() -> None:
    assert "--cap-drop ALL --security-opt no-new-privileges" in words(service())


def test_a_proxy_of_the_server_s_is_not_passed_on() -> None:
    assert "--http-proxy=false" in words(service())
    assert "--http-proxy" not in words(service(), setting("docker"))  # which passes none on, and does not know the option


def test_a_service_that_can_be_told_its_port_uses_the_machines_network() -> None:
    assert "--network host" in words(service(ports={"main": Port(number=20001)}))


def test_ports_of_an_image_that_cannot_be_told_are_passed_on() -> None:
    shown = words(service(ports={"main": Port(number=20001, inside=80), "six": Port(number=20002, host="::1", inside=80)}))
    assert "--publish 127.0.0.1:20001:80 --publish [::1]:20002:80" in shown
    assert "--network" not in shown


def test_it_sees_its_directory_and_volumes_at_their_own_paths() -> None:
    volumes = [Volume(source=Path("/one")), Volume(source=Path("/two"), target=Path("/inside"), read_only=True)]
    shown = words(service(volumes=volumes))
    assert "--volume /data/services/a.b:/data/services/a.b:Z" in shown
    assert "--volume /one:/one:z --volume /two:/inside:ro,z" in shown


def test_it_runs_as_the_services_user() -> None:
    assert "--user 990:991" in words(service())


def test_a_server_that_is_not_root_keeps_its_own_user_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--userns keep-id" in words(service())
    assert "--userns" not in words(service(), setting("docker"))


def test_it_ends_by_its_own_signal_and_time() -> None:
    assert "--stop-signal SIGINT --stop-timeout 2" in words(service(stop=Stop(signal="INT", seconds=1.5)))


def test_what_cannot_be_limited_here_is_not_asked_for_and_said() -> None:
    limited = service(limits=Limits(cpu=1.5, memory=1 << 20, open_files=64))
    assert "--cpus 1.5 --memory 1048576" in words(limited)
    assert "--ulimit nofile=64:64" in words(limited)
    assert "--memory" not in words(limited, setting(limits=()))
    assert how_limited(limited, setting(limits=("cpu",))) == {"cpu": "cgroup", "memory": "none", "open_files": "rlimit"}
