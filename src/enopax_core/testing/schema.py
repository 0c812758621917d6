"""Compares a published schema with the model behind it, value by value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from enopax_core.errors import Fault
from enopax_core.provider.config import Checker, Configuration
from enopax_core.registry import Registered
from enopax_core.testing.promise import broken, promise

MISSING = object()


def check_schema(registered: Registered, valid: Mapping[str, Any]) -> None:
    """Fail the test where the schema promises what the model refuses, refuses what it takes, or contradicts itself.

    `valid` is a configuration on the wire; each of its fields is replaced in turn by defaults, examples, members of
    enumerations and values at and beyond the bounds.
    """
    configuration = registered.configuration
    _, faults = configuration.parse(valid)
    promise(not faults, f"`config` is not valid: {listed(faults)}.")
    for name, field in configuration.properties.items():
        _check_own_values(configuration, name, field)
        for value in (MISSING, *_probes(_resolved(configuration, field))):
            probe = {**valid, name: value}
            if value is MISSING:
                del probe[name]
            _compare(configuration, probe, name, value)
    _compare(configuration, {**valid, "anUnknownField": 1}, "anUnknownField", 1)
    for plan in registered.plans.values():
        _, faults = configuration.parse({**valid, **plan.preset})
        promise(not faults, f"The preset of the plan {plan.id} does not fit the schema: {listed(faults)}.")


def _check_own_values(configuration: Configuration, name: str, field: Mapping[str, Any]) -> None:
    """Defaults and examples are what people start from."""
    checker = Checker({**field, "$defs": configuration.schema.get("$defs", {})})
    own = [("default", field["default"])] if "default" in field else []
    for what, value in [*own, *(("example", example) for example in field.get("examples", ()))]:
        faults = checker.faults(value)
        promise(not faults, f"The {what} of {name!r} does not fit its own schema: {listed(faults)}. Change one of the two.")


def _compare(configuration: Configuration, probe: Mapping[str, Any], name: str, value: object) -> None:
    if configuration.model is None:
        return
    by_schema, by_model = not configuration.checker.faults(probe), _accepts(configuration.model, probe)
    if by_schema == by_model:
        return
    shown = "its absence" if value is MISSING else "such a value" if name in configuration.secrets else json.dumps(value)
    if by_schema:
        broken(
            f"The schema of {name!r} accepts {shown}, but the model refuses it: forms and tools would offer what always fails."
            " Say it in the schema (Field(ge=…, pattern=…), Literal …), or let the validator accept it."
        )
    broken(
        f"The schema of {name!r} refuses {shown}, but the model accepts it."
        " Let both come from the same Field; what json_schema_extra narrows, the model must refuse too."
    )


def _accepts(model: type[BaseModel], wire: Mapping[str, Any]) -> bool:
    try:
        model.model_validate_json(json.dumps(wire), strict=True)  # as JSON Schema: "5" is no integer
    except ValidationError:
        return False
    return True


def _probes(field: Mapping[str, Any]) -> Iterator[Any]:
    """Values at and beyond what a field's schema says. Texts without a length are left alone: they may mean anything."""
    options = field.get("anyOf", [field])
    for option in options:
        yield from option.get("enum", ())
        if "const" in option:
            yield option["const"]
        match option.get("type"):
            case "boolean":
                yield from (True, False)
            case "null":
                yield None
            case "integer" | "number" as kind:
                step = 1 if kind == "integer" else 0.5
                for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
                    if bound in option:
                        yield from (option[bound] - step, option[bound], option[bound] + step)
            case "string" if "enum" not in option:
                if "maxLength" in option:
                    yield "x" * (option["maxLength"] + 1)
                if option.get("minLength", 0) > 0:
                    yield "x" * (option["minLength"] - 1)
    yield from field.get("examples", ())
    if "default" in field:
        yield field["default"]


def _resolved(configuration: Configuration, field: Mapping[str, Any]) -> Mapping[str, Any]:
    """A field's schema with what it refers to."""
    reference = field.get("$ref", "")
    defined = configuration.schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
    return {**defined, **field}


def listed(faults: Sequence[Fault]) -> str:
    """Faults in one line, without a full stop."""
    return "; ".join(f"{fault.pointer or '/'}: {fault.message}" for fault in faults).rstrip(".")
