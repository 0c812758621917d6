"""Base class for authors."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import MethodType
from typing import Any, ClassVar, get_args

from enopax_core.errors import PluginRefused
from enopax_core.provider.endpoints import CustomEndpoint, EndpointMark, Schedule, ScheduleMark
from enopax_core.provider.spec import HOOKS, ConfigT, ProviderSpec
from enopax_core.provider.values import Plan


class Provider(ProviderSpec[ConfigT]):
    """One kind of resource: `class Git(Provider[GitConfig])`, or `Provider[Json]` with a JSON Schema as `config`."""

    name: ClassVar[str]
    """What people call it; also the `provider` of its resources."""
    endpoint: ClassVar[str]
    """Segment of the URL below `/v1/`: lower-case letters, digits and hyphens."""
    description: str = ""
    plans: Sequence[Plan] = ()
    """Offers, the default one first; may also be set per instance, from settings."""
    retention: timedelta | None = None
    """How long deleted data is kept. With it `restore` and `purge` are mandatory; without, DELETE is final."""
    timeout: timedelta = timedelta(minutes=15)
    """Longest time one attempt of an operation may take."""
    attempts: int = 5
    """How often an operation is tried before it fails."""
    name_pattern: str | None = None
    """Narrows the names of resources: an unanchored regular expression is not enough, begin with ^ and end with $."""
    config: ClassVar[Any]
    """The model in `Provider[…]`; or a JSON Schema set by hand."""

    def __init_subclass__(cls) -> None:
        """Find the configuration; refuse a public method that is neither hook, endpoint nor schedule."""
        super().__init_subclass__()
        for base in cls.__dict__.get("__orig_bases__", ()):
            if issubclass(getattr(base, "__origin__", object), Provider):
                cls.config = cls.__dict__.get("config", get_args(base)[0])
        for name, method in vars(cls).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                _check_method(name, method)

    def endpoints(self) -> Sequence[CustomEndpoint]:
        """The methods marked `@custom_endpoint`."""
        found: list[CustomEndpoint] = []
        for name, method in inspect.getmembers_static(type(self)):
            mark: EndpointMark | None = getattr(method, "enopax_endpoint", None)
            if mark is not None:
                found.append(
                    CustomEndpoint(
                        method=mark.method,
                        path=mark.path,
                        permission=mark.permission,
                        call=getattr(self, name),
                        name=name,
                        description=inspect.getdoc(method) or "",
                        retry=mark.retry,
                        body_limit=mark.body_limit,
                        destructive=mark.destructive,
                        check=None if mark.check is None else MethodType(mark.check, self),
                    )
                )
        return found

    def schedules(self) -> Sequence[Schedule]:
        """The methods marked `@scheduled`."""
        found: list[Schedule] = []
        for name, method in inspect.getmembers_static(type(self)):
            mark: ScheduleMark | None = getattr(method, "enopax_schedule", None)
            if mark is not None:
                found.append(Schedule(name=name, every=mark.every, first=mark.first, call=getattr(self, name)))
        return found


def overrides(provider: ProviderSpec[Any], hook: str) -> bool:
    """Whether a provider implements a hook itself: an override declares the capability, there are no flags."""
    return getattr(type(provider), hook) is not getattr(ProviderSpec, hook)


def where(function: Callable[..., object]) -> str:
    """File and line of a function, for the author who must change it."""
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"


def _check_method(name: str, method: Callable[..., object]) -> None:
    if hasattr(method, "enopax_endpoint") or hasattr(method, "enopax_schedule"):
        return
    if name not in HOOKS:
        near = difflib.get_close_matches(name, HOOKS, 1)
        hint = f"did you mean {near[0]}?" if near else "begin a helper's name with an underscore."
        raise PluginRefused(f"{method.__qualname__} is no provider hook; {hint} ({where(method)})")
    expected = list(inspect.signature(getattr(ProviderSpec, name)).parameters)
    given = list(inspect.signature(method).parameters)
    if given != expected:
        raise PluginRefused(
            f"{method.__qualname__} must take ({', '.join(expected)}), not ({', '.join(given)}) ({where(method)})"
        )


def schema_of(provider: Provider[Any]) -> type[Any] | Mapping[str, Any]:
    """The configuration a provider declares; raises PluginRefused if it declares none."""
    declared = getattr(type(provider), "config", None)
    if declared is None:
        raise PluginRefused(f"{type(provider).__qualname__} declares no configuration: write Provider[YourConfig].")
    return declared  # type: ignore[no-any-return]  # a ClassVar of Any: checked by Configuration
