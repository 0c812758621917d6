"""Finds plugins, keeps the broken ones apart, knows the providers."""

from __future__ import annotations

import difflib
import inspect
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from enopax_core.errors import NotFound, PluginRefused
from enopax_core.hooks import GOVERNING_HOOKS, Host, PluginSpec
from enopax_core.provider.base import Provider, overrides, schema_of, where
from enopax_core.provider.checks import check_endpoints, check_schedules
from enopax_core.provider.config import Checker, Configuration
from enopax_core.provider.endpoints import CustomEndpoint, Schedule
from enopax_core.provider.spec import CAPABILITIES
from enopax_core.provider.values import Plan

log = logging.getLogger(__name__)
GROUP = "enopax"
ENDPOINT = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
LONGEST_ENDPOINT = 40  # characters
RESERVED = frozenset({"operations", "events", "keys", "audit", "admin"})  # segments below /v1/ that belong to the core


def installed() -> Sequence[EntryPoint]:
    """The plugins of this environment by name, those included that cannot be imported: nothing is."""
    return sorted(entry_points(group=GROUP), key=lambda entry: entry.name)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A plugin that could not be used, and why."""

    plugin: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A provider that has passed every check, with what it declares."""

    plugin: str
    provider: Provider[Any]
    configuration: Configuration
    plans: Mapping[str, Plan]
    endpoints: Sequence[CustomEndpoint]
    schedules: Sequence[Schedule]
    capabilities: Sequence[str]

    @property
    def endpoint(self) -> str:
        """Its segment of the URL."""
        return self.provider.endpoint

    def has(self, hook: str) -> bool:
        """Whether the provider implements a hook."""
        return overrides(self.provider, hook)


class Registry:
    """The plugins of one core. Nothing is global: several cores in one process each have their own."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("enopax")
        self.manager.add_hookspecs(PluginSpec)
        self.problems: list[Problem] = []
        self._providers: dict[str, Registered] = {}

    def add(self, plugin: object, name: str) -> None:
        """Register a plugin. Raises PluginRefused with file, line and the nearest name of a misspelt hook."""
        _check_hooks(plugin)
        if self.manager.has_plugin(name):
            raise PluginRefused(f"There is already a plugin called {name}. ({_place_of(plugin)})")
        try:
            self.manager.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            self.manager.unregister(plugin)
            raise PluginRefused(f"{error} ({_place_of(plugin)})") from error

    def discover(self, disabled: Collection[str] = ()) -> None:
        """Register what is installed under the entry point group `enopax`; keep apart what fails."""
        for entry in installed():
            if entry.name in disabled:
                continue
            try:
                plugin = entry.load()
                self.add(plugin, entry.name)
            except (Exception, SystemExit) as error:  # a plugin may fail in any way; the others must not
                self.report(entry.name, error)

    def announce(self, host: Host) -> None:
        """Ask every plugin for its providers; keep apart what breaks the contract."""
        for name, plugin in self.manager.list_name_plugin():
            hook = self.manager.subset_hook_caller(
                "enopax_providers", [other for other in self.manager.get_plugins() if other is not plugin]
            )
            if plugin is None or not hook.get_hookimpls():
                continue
            try:
                for provider in (provider for found in hook(host=host) for provider in found):
                    self._add_provider_safely(provider, name)
            except Exception as error:  # a plugin may fail in any way; the others must not
                self.report(name, error)

    def _add_provider_safely(self, provider: Provider[Any], plugin: str) -> None:
        """Offer a provider; keep it apart if it breaks the contract: the plugin's others are good."""
        try:
            self.add_provider(provider, plugin)
        except PluginRefused as error:
            kind = type(provider).__qualname__
            self.report(plugin, error if kind in error.message else PluginRefused(f"{kind}: {error.message}"))
        except Exception as error:  # its `endpoints` may fail in any way
            self.report(plugin, error)

    def add_provider(self, provider: Provider[Any], plugin: str) -> None:
        """Check a provider and offer it. Raises PluginRefused."""
        registered = _checked(provider, plugin)
        if registered.endpoint in self._providers:
            other = self._providers[registered.endpoint].plugin
            raise PluginRefused(f"The endpoint {registered.endpoint} is already served by the plugin {other}.")
        self._providers[registered.endpoint] = registered

    @property
    def providers(self) -> Sequence[Registered]:
        """All providers, by endpoint."""
        return [self._providers[endpoint] for endpoint in sorted(self._providers)]

    def provider(self, endpoint: str) -> Registered:
        """The provider of an endpoint. Raises NotFound."""
        try:
            return self._providers[endpoint]
        except KeyError:
            raise NotFound(f"There is no provider at {endpoint}.") from None

    def report(self, name: str, error: BaseException) -> None:
        """Something of a plugin cannot be used: the log says why, `/readyz` and `doctor` that it is so."""
        message = str(error) or type(error).__name__
        self.problems.append(Problem(plugin=name, message=message))
        log.error("The plugin %s cannot be used: %s", name, message, exc_info=not isinstance(error, PluginRefused))


def _check_hooks(plugin: object) -> None:
    """Refuse what looks like a hook and is none: it would never be called, and nobody would notice."""
    for name, function in inspect.getmembers(plugin, inspect.isroutine):
        marked = hasattr(function, "enopax_impl")
        if not marked and not name.startswith("enopax_"):
            continue
        if name not in GOVERNING_HOOKS:
            near = difflib.get_close_matches(name, GOVERNING_HOOKS, 1)
            hint = f"did you mean {near[0]}?" if near else f"the hooks are {', '.join(GOVERNING_HOOKS)}."
            raise PluginRefused(f"{name} is no hook; {hint} ({where(function)})")
        if not marked:
            raise PluginRefused(f"{name} is not marked: write @hookimpl above it. ({where(function)})")
        known = set(inspect.signature(getattr(PluginSpec, name)).parameters) - {"self"}
        for parameter in set(inspect.signature(function).parameters) - known - {"self"}:
            near = difflib.get_close_matches(parameter, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it may take {', '.join(sorted(known))}."
            raise PluginRefused(f"{name} cannot take an argument {parameter}; {hint} ({where(function)})")
        if inspect.iscoroutinefunction(getattr(PluginSpec, name)) != inspect.iscoroutinefunction(inspect.unwrap(function)):
            kind = "async def" if inspect.iscoroutinefunction(getattr(PluginSpec, name)) else "def"
            raise PluginRefused(f"{name} must be written with `{kind}`. ({where(function)})")


def _place_of(plugin: object) -> str:
    file = getattr(plugin, "__file__", None) or inspect.getsourcefile(type(plugin))
    return str(file)


def _checked(provider: Provider[Any], plugin: str) -> Registered:
    kind = type(provider)
    at = where(getattr(kind, "provision", kind.__init__)) if inspect.isfunction(getattr(kind, "provision", None)) else ""
    for attribute in ("name", "endpoint"):
        if not isinstance(getattr(provider, attribute, None), str):
            raise PluginRefused(f"{kind.__qualname__} has no `{attribute}`. ({at})")
    if not ENDPOINT.match(provider.endpoint) or len(provider.endpoint) > LONGEST_ENDPOINT or provider.endpoint in RESERVED:
        raise PluginRefused(
            f"The endpoint {provider.endpoint!r} must be lower-case words joined by hyphens, and none of"
            f" {', '.join(sorted(RESERVED))}. ({at})"
        )
    if provider.retention is not None:
        for hook in ("restore", "purge"):
            if not overrides(provider, hook):
                raise PluginRefused(f"{kind.__qualname__} keeps deleted data (`retention`), so it must implement {hook}. ({at})")
    if overrides(provider, "follow") and not overrides(provider, "logs"):
        raise PluginRefused(f"{kind.__qualname__} lets its log be followed (`follow`), so it must implement logs. ({at})")
    endpoints, schedules = provider.endpoints(), provider.schedules()
    _check_plans(provider)
    for endpoint in endpoints:
        if endpoint.schema is not None:
            Checker(endpoint.schema)
    check_endpoints(endpoints)
    check_schedules(schedules)
    return Registered(
        plugin=plugin,
        provider=provider,
        configuration=Configuration(schema_of(provider)),
        plans={plan.id: plan for plan in provider.plans},
        endpoints=endpoints,
        schedules=schedules,
        capabilities=[hook for hook in CAPABILITIES if overrides(provider, hook)],
    )


ENVELOPE = frozenset({"name", "organisationName", "projectName", "userId", "sshKeys", "plan"})
"""Fields that every request shares; a configuration must not use them."""


def _check_plans(provider: Provider[Any]) -> None:
    ids = [plan.id for plan in provider.plans]
    if len(set(ids)) != len(ids):
        raise PluginRefused(f"{type(provider).__qualname__} has two plans of the same id.")
    taken = ENVELOPE & set(Configuration(schema_of(provider)).properties)
    if taken:
        raise PluginRefused(f"The configuration of {provider.name} uses {', '.join(sorted(taken))}, which every request shares.")
