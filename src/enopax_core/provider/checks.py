"""What a provider adds is checked at the start: a mistake found there is one that no customer meets."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence

from pydantic import BaseModel

from enopax_core.errors import PluginRefused
from enopax_core.provider.base import where
from enopax_core.provider.endpoints import CustomEndpoint, Schedule
from enopax_core.records.operation import Kind
from enopax_core.records.principal import Permission

CORE_PATHS = frozenset({"metrics", "restore", "credentials", "logs", "operations", "tokens"})
"""Below a resource these belong to the core."""
NAMES = re.compile(r"\{(\w+)\}")


def check_endpoints(endpoints: Sequence[CustomEndpoint]) -> None:
    """Raises PluginRefused with file and line."""
    paths: set[tuple[str, str]] = set()
    for endpoint in endpoints:
        at = where(endpoint.call)
        if not endpoint.path.startswith("/") or endpoint.path.strip("/").split("/")[0] in CORE_PATHS:
            raise PluginRefused(f"The custom endpoint {endpoint.path} shadows a path of the core. ({at})")
        path = (endpoint.method, NAMES.sub("{}", endpoint.path))
        if path in paths:
            raise PluginRefused(f"The custom endpoint {endpoint.method} {endpoint.path} is announced twice. ({at})")
        paths.add(path)
        _check_name(endpoint.name, at)
        _check_permission(endpoint.permission, at)
        _check_arguments(endpoint, endpoint.call, {"resource", "request", "operation", "upload"})
        if endpoint.check is not None:
            _check_arguments(endpoint, endpoint.check, {"resource", "request"})
        if endpoint.uploads and (endpoint.method not in ("POST", "PUT") or endpoint.durable or body_taken(endpoint)):
            raise PluginRefused(f"Only a POST or PUT that is no operation and takes no request may take an upload. ({at})")
        if endpoint.downloads and (endpoint.method != "GET" or endpoint.durable):
            raise PluginRefused(f"Only a GET that is no operation may answer with a Download. ({at})")


def body_taken(endpoint: CustomEndpoint) -> bool:
    """Whether an endpoint takes a body of JSON."""
    return endpoint.schema is not None or "request" in inspect.signature(endpoint.call).parameters


def check_schedules(schedules: Sequence[Schedule]) -> None:
    """Raises PluginRefused with file and line."""
    for schedule in schedules:
        at = where(schedule.call)
        _check_name(schedule.name, at)
        if list(inspect.signature(schedule.call).parameters) != ["operation", "resource"]:
            raise PluginRefused(f"The schedule {schedule.name} must take (operation, resource). ({at})")
        if schedule.every.total_seconds() <= 0:
            raise PluginRefused(f"The schedule {schedule.name} needs an interval of more than nothing. ({at})")


def _check_name(name: str, at: str) -> None:
    if name in set(Kind):
        raise PluginRefused(f"A method called {name} is an operation of the core: choose another name. ({at})")


def _check_permission(permission: str, at: str) -> None:
    if ":" in permission or permission in set(Permission):
        return
    near = difflib.get_close_matches(permission, list(Permission), 1)
    hint = f"did you mean {near[0]}?" if near else f"it is `plugin:verb`, or one of {', '.join(Permission)}."
    raise PluginRefused(f"There is no permission {permission}; {hint} ({at})")


def _check_arguments(endpoint: CustomEndpoint, function: Callable[..., object], offered: Collection[str]) -> None:
    path = endpoint.path
    at, in_path = where(function), NAMES.findall(path)
    parameters = _parameters(function, at)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in in_path:
        if name not in parameters and not takes_any:
            raise PluginRefused(f"The path {path} holds {{{name}}}, which {function.__name__} does not take. ({at})")
    for name, parameter in parameters.items():
        if (
            name in offered
            or name in in_path
            or parameter.kind is parameter.VAR_KEYWORD
            or parameter.default is not parameter.empty
        ):
            continue
        near = difflib.get_close_matches(name, {*offered, *in_path}, 1)
        hint = f"did you mean {near[0]}?" if near else f"it may take {', '.join(sorted({*offered, *in_path}))}."
        raise PluginRefused(f"{function.__name__} cannot take an argument {name}; {hint} ({at})")
    if endpoint.schema is not None:  # then that is checked, and the method gets plain JSON
        return
    model = parameters["request"].annotation if "request" in parameters else BaseModel
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise PluginRefused(f"The argument request of {function.__name__} must be annotated with a pydantic model. ({at})")


def _parameters(function: Callable[..., object], at: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function, eval_str=True).parameters
    except NameError as error:
        raise PluginRefused(f"An annotation cannot be read: {error}; import it outside of TYPE_CHECKING. ({at})") from error
