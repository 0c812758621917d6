"""The configuration of a resource: from the wire to what an author's methods see, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from pydantic import BaseModel, ConfigDict
from pydantic import ValidationError as ModelError
from pydantic.alias_generators import to_camel

from enopax_core.errors import Fault, PermanentError, PluginRefused

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Config(BaseModel):
    """Base of configuration models: camelCase on the wire, unknown fields refused, labels people can read.

    A plain BaseModel publishes none of it. Secrets: `Field(json_schema_extra={"writeOnly": True})`.
    """

    model_config = ConfigDict(  # not class arguments: with frozen=True there, mypy wants it repeated in every subclass
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # tracebacks reach logs, and what was sent may be a secret
        alias_generator=to_camel,
        populate_by_name=True,
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Leave out what is secret."""
        for name, value in super().__repr_args__():
            extra = type(self).model_fields[name].json_schema_extra if name in type(self).model_fields else None
            if not (isinstance(extra, dict) and extra.get("writeOnly")):
                yield name, value


def pointer(parts: Iterable[object]) -> str:
    """RFC 6901 pointer of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def faults_of(error: ValidationError) -> list[Fault]:
    """Every fault of a schema error, each at the field that people must change."""
    at = list(error.absolute_path)
    schema: Any = error.schema
    if error.validator == "required" and isinstance(error.instance, dict):
        names: Any = error.validator_value
        return [Fault(pointer([*at, name]), "This field is required.") for name in names if name not in error.instance]
    if error.validator in ("additionalProperties", "unevaluatedProperties") and isinstance(error.instance, dict):
        known = set(schema.get("properties", {}))
        unknown = [name for name in error.instance if name not in known]
        return [Fault(pointer([*at, name]), "This field is not known here.") for name in unknown]
    return [Fault(pointer(at), sentence(error))]


def model_faults(error: ModelError) -> list[Fault]:
    """What pydantic found, each at its pointer."""
    return [Fault(pointer(e["loc"]), f"{e['msg'].removeprefix('Value error, ').capitalize()}.") for e in error.errors()]


def sentence(error: ValidationError) -> str:
    """What is wrong, without repeating the value: it may be a secret."""
    value: Any = error.validator_value
    sentences = {
        "type": f"This must be of type {value if isinstance(value, str) else ' or '.join(map(str, value))}."
        if error.validator == "type"
        else "",
        "enum": f"This must be one of {value}.",
        "const": f"This must be {value!r}.",
        "minimum": f"This must be at least {value}.",
        "maximum": f"This must be at most {value}.",
        "exclusiveMinimum": f"This must be more than {value}.",
        "exclusiveMaximum": f"This must be less than {value}.",
        "minLength": "This must not be empty." if value == 1 else f"This must have at least {value} characters.",
        "maxLength": f"This must have at most {value} characters.",
        "minItems": f"This must have at least {value} entries.",
        "maxItems": f"This must have at most {value} entries.",
        "uniqueItems": "The entries must differ from each other.",
        "pattern": f"This must match the pattern {value}",
        "format": f"This must be a valid {value}.",
    }
    return sentences.get(str(error.validator)) or f"This does not satisfy `{error.validator}`."


class Checker:
    """A schema with its validator kept: building one costs 2 ms, using it 24 µs."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises PluginRefused if the schema is none."""
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            at = pointer(error.path)
            raise PluginRefused(f"The JSON Schema is not valid at {at}: {error.message}") from error
        self.schema = schema
        self._validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)

    def faults(self, value: object) -> list[Fault]:
        """Everything that is wrong with a value; empty when it fits."""
        found: dict[Fault, None] = {}
        for error in self._validator.iter_errors(value):
            found.update(dict.fromkeys(faults_of(error)))
        return list(found)


class Configuration:
    """How one provider's configuration is checked, stored and given to its methods."""

    def __init__(self, declared: type[BaseModel] | Mapping[str, Any]) -> None:
        """`declared` is a pydantic model or a JSON Schema of an object."""
        self.model = declared if isinstance(declared, type) else None
        schema = dict(declared.model_json_schema(by_alias=True) if isinstance(declared, type) else declared)
        if schema.get("type", "object") != "object":
            raise PluginRefused("The configuration's JSON Schema must describe an object.")
        schema["type"] = "object"
        schema.setdefault("additionalProperties", False)
        schema.setdefault("properties", {})
        self.checker = Checker(schema)
        self.secrets = frozenset(
            name for name, field in schema["properties"].items() if isinstance(field, dict) and field.get("writeOnly")
        )

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema of the configuration alone."""
        return self.checker.schema

    @property
    def properties(self) -> Mapping[str, Any]:
        """Schemas of its fields by name on the wire."""
        return dict(self.schema["properties"])

    def parse(self, wire: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
        """Check a whole configuration; return it with defaults filled in, and every fault at its pointer."""
        faults = self.checker.faults(wire)
        if faults:
            return dict(wire), faults
        if self.model is None:
            defaults = {n: f["default"] for n, f in self.properties.items() if isinstance(f, dict) and "default" in f}
            return {**defaults, **wire}, []
        try:  # what a schema cannot say; alone, pydantic would take "5" for an integer
            return self.model.model_validate(wire).model_dump(by_alias=True, mode="json"), []
        except ModelError as error:
            return dict(wire), model_faults(error)

    def load(self, wire: Mapping[str, Any]) -> Any:
        """What the author's methods see: an instance of the model, or the plain object.

        Raises PermanentError where what is stored no longer fits a newer version of the plugin.
        """
        try:
            return dict(wire) if self.model is None else self.model.model_validate(wire)
        except ModelError as error:
            faults = "; ".join(f"{fault.pointer}: {fault.message}" for fault in model_faults(error))
            raise PermanentError(f"The stored configuration does not fit this version of the provider ({faults})") from None
