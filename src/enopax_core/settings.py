"""Settings: options beat environment beats file. A library reads no environment by itself: `load_settings` is given it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
    public_url: str | None = Field(default=None, description="Address people use, where it is not this one.")
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

    def section(self, name: str, model: type[ModelT]) -> ModelT:
        """A plugin's section. Raises SettingsError naming the key, where it stands and the nearest valid name."""
        return _validated(model, self.sections.get(name, {}), f"[{name}]")


def load_settings(
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    cwd: Path,
    sections: Mapping[str, type[BaseModel]] | None = None,
) -> Settings:
    """Compose the settings of a server. `options` by field name, a plugin's as `section.field`; None: not given.

    The file lies in the data directory, else in `cwd`. Raises SettingsError.
    """
    sections = sections or {}
    given = {name: value for name, value in options.items() if value is not None}
    from_environment = _environment(environ, sections)
    data_dir = Path(given.get("data_dir") or from_environment.get("data_dir") or Settings().data_dir)
    merged: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {name: {} for name in sections}
    file = next((path for path in (data_dir / FILE, cwd / FILE) if path.is_file()), None)
    for source in (_file(file, sections) if file is not None else {}, from_environment, given):
        for name, value in source.items():
            section, _, key = name.rpartition(".")
            if section:
                found.setdefault(section, {})[key] = value
            else:
                merged[name] = value
    settings = _validated(Settings, {**merged, "sections": found}, file.name if file is not None else "settings")
    for name, model in sections.items():
        settings.section(name, model)
    return settings


def _environment(environ: Mapping[str, str], sections: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name == "no_auth":
            found["auth"] = value.lower() not in ("1", "true", "yes")
        elif name in Settings.model_fields and name != "sections":
            is_list = name in ("allowed_origins", "disabled_plugins")
            found[name] = tuple(part.strip() for part in value.split(",") if part.strip()) if is_list else value
        for section, model in sections.items():
            for field, declared in model.model_fields.items():
                extra = declared.json_schema_extra if isinstance(declared.json_schema_extra, dict) else {}
                option = str(extra.get("option", "")).lstrip("-").replace("-", "_")
                if name in (f"{section}_{field}", option):
                    found[f"{section}.{field}"] = value
    return found


def _file(path: Path, sections: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
    found: dict[str, Any] = {}
    for name, value in content.items():
        if name == "no_auth":
            found["auth"] = not value
        elif isinstance(value, dict):
            if name not in sections:
                raise SettingsError(f"{path}: there is no section [{name}].{_near(name, sections)}")
            for key, inner in value.items():
                if key not in sections[name].model_fields:
                    raise SettingsError(f"{path}: [{name}] has no key {key}.{_near(key, sections[name].model_fields)}")
                found[f"{name}.{key}"] = inner
        elif name not in Settings.model_fields:
            raise SettingsError(f"{path}: there is no key {name}.{_near(name, Settings.model_fields)}")
        else:
            found[name] = value
    return found


def _near(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {near[0]}?" if near else f" Known are {', '.join(sorted(known))}."


def _validated(model: type[ModelT], values: Mapping[str, Any], where: str) -> ModelT:
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        near = _near(name, model.model_fields) if first["type"] == "extra_forbidden" else ""
        raise SettingsError(f"{where}: {name}: {first['msg']}.{near}") from error
