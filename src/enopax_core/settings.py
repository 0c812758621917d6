"""Settings: options beat environment beats file. A library reads no environment by itself: `load_settings` is given it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from enopax_core.errors import SettingsError

ModelT = TypeVar("ModelT", bound=BaseModel)
FILE = "enopax.toml"
PREFIX = "ENOPAX_"


class Settings(BaseModel):
    """Settings of one installation. `Settings(data_dir=…)` alone is enough for embedders."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path = Field(default=Path("data"), description="Where everything is kept.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=3001, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    auth: bool = Field(default=True, description="Ask for API keys; off on loopback only.")
    grace: float = Field(default=30.0, gt=0, description="Seconds a stop may take.")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$", description="What is logged.")
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="How logs are written: auto is text on a terminal, JSON elsewhere."
    )
    public_url: str | None = Field(default=None, description="Address people use, where it is not this one.")
    trusted_proxies: tuple[str, ...] = Field(
        default=("127.0.0.1", "::1"),
        description="Reverse proxies, as addresses or networks, that are believed who their clients are.",
    )
    allowed_origins: tuple[str, ...] = Field(default=(), description="Origins of browsers that may call (CORS).")
    disabled_plugins: tuple[str, ...] = Field(default=(), description="Plugins that are not used, by name.")
    wait_seconds: float = Field(default=20.0, ge=0, le=60, description="How long a request waits for its operation.")
    workers: int = Field(default=16, ge=1, le=1000, description="Operations that run at a time.")
    provider_threads: int = Field(default=32, ge=1, le=1000, description="Threads for providers' plain methods.")
    reconcile_seconds: float = Field(default=300.0, gt=0, description="Seconds between looks at every backend.")
    rate_limit_per_second: float = Field(default=100.0, gt=0, description="Requests a second for each key.")
    rate_limit_burst: int = Field(default=1000, ge=1, description="Requests at once for each key.")
    rate_limit_loopback: bool = Field(default=False, description="Limit clients on this machine too.")
    sections: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Sections of plugins.")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no address: it would trust nobody, and every client would be the proxy."""
        for proxy in proxies:
            ip_network(proxy)
        return proxies

    def switched_off(self, known: Collection[str]) -> Collection[str]:
        """Names of plugins that are not used. Raises SettingsError naming the nearest of the known ones for another."""
        for name in self.disabled_plugins:
            if name not in known:
                raise SettingsError(f"disabled_plugins: there is no plugin {name}.{_near(name, known)}")
        return self.disabled_plugins

    def section(self, name: str, model: type[ModelT]) -> ModelT:
        """A plugin's section. Raises SettingsError naming the key, where it stands and the nearest valid name."""
        return _validated(model, self.sections.get(name, {}), {}, name)


def load_settings(
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    cwd: Path,
    sections: Mapping[str, type[BaseModel]] | None = None,
    ignored: Collection[str] = (),
) -> Settings:
    """Compose the settings of a server. `options` by field name, a plugin's as `section.field`; None: not given.

    The file lies in the data directory, else in `cwd`; its tables named in `ignored` are not looked at, because their
    plugin cannot be imported. Raises SettingsError with one sentence: key, where it stands, the nearest valid name.
    """
    sections = sections or {}
    given = {name: (_option_name(name, value, sections), value) for name, value in options.items() if value is not None}
    from_environment = dict(_environment(environ, sections))
    named = given.get("data_dir") or from_environment.get("data_dir")
    data_dir = Path(named[1] if named else Settings().data_dir).expanduser()
    file = next((path for path in (data_dir / FILE, cwd / FILE) if path.is_file()), None)
    from_file = dict(_file(file, sections, ignored)) if file is not None else {}
    origins: dict[str, str] = {}
    merged: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {name: {} for name in sections}
    for name, (origin, value) in {**from_file, **from_environment, **given}.items():
        origins[name] = origin
        section, _, key = name.rpartition(".")
        if section:
            found.setdefault(section, {})[key] = value
        else:
            merged[name] = value
    for section, model in sections.items():
        _validated(model, found[section], origins, section)
    return _validated(Settings, {**merged, "sections": found}, origins)


Sourced = tuple[str, tuple[str, Any]]  # name of a field, and where its value stands and what it is


def _environment(environ: Mapping[str, str], sections: Mapping[str, type[BaseModel]]) -> Iterable[Sourced]:
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or not value:  # compose files set empty ones
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name == "no_auth":
            yield "auth", (variable, not _truth(variable, value))
        elif name in Settings.model_fields and name != "sections":
            yield name, (variable, _written(Settings, name, value))
        for section, model in sections.items():
            for field in model.model_fields:
                option = (option_of(model, field) or "").lstrip("-").replace("-", "_")
                if name in (f"{section}_{field}", option):
                    yield f"{section}.{field}", (variable, _written(model, field, value))


def _written(model: type[BaseModel], field: str, value: str) -> Any:
    """A variable's value: a list is written with commas."""
    if get_origin(model.model_fields[field].annotation) is not tuple:
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _file(path: Path, sections: Mapping[str, type[BaseModel]], ignored: Collection[str]) -> Iterable[Sourced]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
    keys = Settings.model_fields.keys() - {"sections"} | {"no_auth"}
    for name, value in content.items():
        if name == "no_auth":
            yield "auth", (f"{path}: no_auth", not _truth(f"{path}: no_auth", value))
        elif isinstance(value, dict):
            if name in sections:
                fields = sections[name].model_fields
                for key, inner in value.items():
                    if key not in fields:
                        raise SettingsError(f"{path}: [{name}] has no key {key}.{_near(key, fields)}")
                    yield f"{name}.{key}", (f"{path}: [{name}] {key}", inner)
            elif name not in ignored:
                raise SettingsError(f"{path}: there is no section [{name}].{_near(name, sections)}")
        elif name not in keys:
            raise SettingsError(f"{path}: there is no key {name}.{_near(name, keys)}")
        else:
            yield name, (f"{path}: {name}", value)


def option_of(model: type[BaseModel], field: str) -> str | None:
    """The option of `enopax serve` that a field of a plugin's settings names, such as `--ssh-port`."""
    extra = model.model_fields[field].json_schema_extra
    option = extra.get("option") if isinstance(extra, dict) else None
    return option if isinstance(option, str) else None


def _option_name(name: str, value: Any, sections: Mapping[str, type[BaseModel]]) -> str:
    section, _, field = name.rpartition(".")
    if section in sections:
        return option_of(sections[section], field) or name
    return "--no-auth" if name == "auth" and value is False else f"--{name.replace('_', '-')}"


def _truth(origin: str, value: object) -> bool:
    word = str(value).lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise SettingsError(f"{origin}: this must be true or false.")


def _near(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {near[0]}?" if near else f" Known are {', '.join(known)}." if known else ""


def _validated(model: type[ModelT], values: Mapping[str, Any], origins: Mapping[str, str], section: str = "") -> ModelT:
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        name = f"{section}.{key}" if section else key
        origin = origins.get(name) or (f"[{section}] {key}" if section else key)
        near = _near(key, model.model_fields) if first["type"] == "extra_forbidden" else ""
        raise SettingsError(f"{origin}: {first['msg']}.{near}") from error
