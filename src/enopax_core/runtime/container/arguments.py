"""A service as arguments of `run`. Nothing secret stands in them: values of the environment go by the caller's own."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from enopax_core.runtime.service import Service
from enopax_core.runtime.user import User

ENGINES_OWN = frozenset(
    """
    PATH HOME LANG TMPDIR LD_PRELOAD LD_LIBRARY_PATH GODEBUG GOMAXPROCS GOTRACEBACK
    XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME DBUS_SESSION_BUS_ADDRESS NOTIFY_SOCKET LISTEN_FDS LISTEN_PID
    CONTAINER_HOST CONTAINER_CONNECTION CONTAINER_SSHKEY CONTAINERS_CONF CONTAINERS_STORAGE_CONF CONTAINERS_REGISTRIES_CONF
    STORAGE_DRIVER STORAGE_OPTS REGISTRY_AUTH_FILE BUILDAH_ISOLATION
    DOCKER_HOST DOCKER_CONFIG DOCKER_CONTEXT DOCKER_CERT_PATH DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_API_VERSION
    """.split()  # noqa: SIM905  # a list of literals would be a page
)
"""Variables that an engine obeys itself (podman(1), docker(1)): a service's would change what the engine does, such as where it
keeps its containers. They go by value, for none of them is a place for secrets."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What arguments depend on beside the service."""

    engine: str
    ulimits: Mapping[str, int]  # what every container gets
    init: bool  # whether the engine has one
    user: User
    limits: Collection[str]  # of `cpu` and `memory`, what can be limited here


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments after `run`, and variables for the engine's process."""

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def of_service(service: Service, name: str, installation: str, directory: Path, log: Path, setting: Setting) -> Arguments:
    """A container that stays. `log` is the file it is logged to, where the engine can be told."""
    common = _common(service, directory, setting, service.environment)
    restart = {"always": "always", "on-failure": "on-failure", "never": "no"}[service.restart]
    words = [
        # Without an init the program is process 1, for which Linux ignores every signal that it does not handle.
        *(["--init"] if setting.init else []),
        *("--detach", "--name", name, "--label", f"enopax.service={installation}", "--restart", restart),
        *("--stop-signal", f"SIG{service.stop.signal}", "--stop-timeout", str(math.ceil(service.stop.seconds))),
        *_log(service, setting, log),
        *_limits(service, setting),
        *common.words,
        service.image or "",
        *service.command,
    ]
    return Arguments(words=words, environment=common.environment)


def of_command(
    service: Service,
    command: Sequence[str],
    name: str,
    installation: str,
    directory: Path,
    environment: Mapping[str, str],
    setting: Setting,
) -> Arguments:
    """A container that runs a command to its end."""
    common = _common(service, directory, setting, {**service.environment, **environment})
    words = [
        *("--rm", "--interactive", "--name", name, "--label", f"enopax.command={installation}"),
        *common.words,
        *("--entrypoint", command[0], service.image or "", *command[1:]),
    ]
    return Arguments(words=words, environment=common.environment)


def _common(service: Service, directory: Path, setting: Setting, environment: Mapping[str, str]) -> Arguments:
    words = ["--workdir", str(directory), "--volume", f"{directory}:{directory}:Z", "--env", f"HOME={directory}"]
    for volume in service.volumes:
        options = "ro,z" if volume.read_only else "z"
        words += ["--volume", f"{volume.source}:{volume.target or volume.source}:{options}"]
    words += ["--user", f"{setting.user.uid}:{setting.user.gid}"]
    if setting.engine == "podman" and os.geteuid() != 0:
        words += ["--userns", "keep-id"]  # the server's user inside too, so that its files are its own
    ulimits = {**setting.ulimits, "nofile": service.limits.open_files or setting.ulimits.get("nofile")}
    for name, most in ulimits.items():
        words += ["--ulimit", f"{name}={most}:{most}"] if most is not None else []
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    if setting.engine == "podman":
        words += ["--http-proxy=false"]  # the server's own, which it would pass on
    secrets = {variable: value for variable, value in environment.items() if variable not in ENGINES_OWN}
    for variable, value in environment.items():
        words += ["--env", variable if variable in secrets else f"{variable}={value}"]
    return Arguments(words=[*words, *_network(service)], environment=secrets)


def _network(service: Service) -> Sequence[str]:
    """The machine's own network, as for a process; but where an image listens where it likes, its ports are passed on."""
    if all(port.inside in (None, port.number) for port in service.ports.values()):
        return ["--network", "host"]
    words: list[str] = []
    for port in service.ports.values():
        host = f"[{port.host}]" if ":" in port.host else port.host
        words += ["--publish", f"{host}:{port.number}:{port.inside or port.number}"]
    return words


def _log(service: Service, setting: Setting, log: Path) -> Sequence[str]:
    if setting.engine == "podman":  # it keeps one file, and begins it anew when it is full
        driver, options = "k8s-file", (f"path={log}", f"max-size={service.log.size * service.log.files}")
    else:
        driver, options = "json-file", (f"max-size={service.log.size}", f"max-file={service.log.files}")
    return ["--log-driver", driver, *(word for option in options for word in ("--log-opt", option))]


def _limits(service: Service, setting: Setting) -> Sequence[str]:
    words: list[str] = []
    if service.limits.cpu is not None and "cpu" in setting.limits:
        words += ["--cpus", f"{service.limits.cpu:g}"]
    if service.limits.memory is not None and "memory" in setting.limits:
        words += ["--memory", str(service.limits.memory)]
    return words


def how_limited(service: Service, setting: Setting) -> Mapping[str, str]:
    """As `Status.limits` says it."""
    how = {
        name: "cgroup" if name in setting.limits else "none"
        for name in ("cpu", "memory")
        if getattr(service.limits, name) is not None
    }
    return how if service.limits.open_files is None else {**how, "open_files": "rlimit"}
