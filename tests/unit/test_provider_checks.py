"""What an author wrote wrong is refused at the start, with file, line and the nearest name."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from enopax_core import Core, Settings
from enopax_core.errors import PermanentError, PluginRefused
from enopax_core.provider import (
    Config,
    Download,
    LogLine,
    Observed,
    Operation,
    Outcome,
    Plan,
    Provider,
    Resource,
    Upload,
    custom_endpoint,
    scheduled,
)
from enopax_core.provider.config import Configuration

HERE = re.escape(__file__) + r":\d+"


class Wish(BaseModel):
    """A body."""

    what: str


class Plain(Provider[Config]):
    """As little as is allowed."""

    name, endpoint = "plain", "plain"

    def provision(self, operation: Operation, resource: Resource[Config]) -> Outcome:
        """Build."""
        return Outcome()

    def status(self, resource: Resource[Config]) -> Observed:
        """Look."""
        return Observed(health="ready")

    def delete(self, operation: Operation, resource: Resource[Config]) -> None:
        """Take apart."""


def refused(method: Callable[..., Any], tmp_path: Path) -> str:
    """What is said of a provider with this method."""

    def offer() -> None:
        kind = type("Wrong", (Plain,), {method.__name__: method, "__module__": __name__})
        Core(Settings(data_dir=tmp_path), plugins=[kind()])

    with pytest.raises(PluginRefused) as found:
        offer()
    return str(found.value)


def test_the_least_is_enough(tmp_path: Path) -> None:
    Core(Settings(data_dir=tmp_path), plugins=[Plain()])


def test_a_misspelt_hook_is_refused_with_the_nearest(tmp_path: Path) -> None:
    def updtae(self: Any, operation: Operation, resource: Resource[Config]) -> Outcome:
        return Outcome()

    said = refused(updtae, tmp_path)
    assert "did you mean update?" in said
    assert re.search(HERE, said)


def test_a_hook_with_other_arguments_is_refused(tmp_path: Path) -> None:
    def update(self: Any, op: Operation, resource: Resource[Config]) -> Outcome:
        return Outcome()

    said = refused(update, tmp_path)
    assert "must take (self, operation, resource)" in said
    assert re.search(HERE, said)


def test_a_provider_without_a_mandatory_hook_cannot_be_made() -> None:
    class Half(Provider[Config]):
        name, endpoint = "half", "half"

        def provision(self, operation: Operation, resource: Resource[Config]) -> Outcome:
            return Outcome()

    with pytest.raises(TypeError, match="delete"):
        Half()  # type: ignore[abstract]  # that is the point


def _strange_argument(self: Any, resource: Resource[Config], reqest: Wish) -> None: ...
def _path_not_taken(self: Any, resource: Resource[Config]) -> None: ...
def _body_without_model(self: Any, resource: Resource[Config], request: dict[str, str]) -> None: ...
def _plain(self: Any, resource: Resource[Config]) -> None: ...


@pytest.mark.parametrize(
    ("function", "path", "permission", "said"),
    [
        (_strange_argument, "/wish", "operate", "did you mean request?"),
        (_path_not_taken, "/wish/{number}", "operate", "{number}, which wish does not take"),
        (_body_without_model, "/wish", "operate", "annotated with a pydantic model"),
        (_plain, "/wish", "opreate", "did you mean operate?"),
        (_plain, "/wish", "wishing", "one of read, create"),
        (_plain, "/metrics", "read", "shadows a path of the core"),
        (_plain, "/credentials/again", "read", "shadows a path of the core"),
        (_plain, "wish", "read", "shadows a path of the core"),
    ],
)
def test_a_custom_endpoint_that_could_not_be_called_is_refused(
    function: Callable[..., Any], path: str, permission: str, said: str, tmp_path: Path
) -> None:
    def wish(*_: Any) -> None: ...

    wish.__code__, wish.__annotations__ = function.__code__, function.__annotations__
    found = refused(custom_endpoint("POST", path, permission=permission)(wish), tmp_path)
    assert said in found
    assert re.search(HERE, found)


def test_a_download_that_is_no_plain_get_is_refused(tmp_path: Path) -> None:
    @custom_endpoint("POST", "/film", permission="read")
    def film(self: Any, resource: Resource[Config]) -> Download: ...  # type: ignore[empty-body]  # never called

    said = refused(film, tmp_path)
    assert "Only a GET that is no operation" in said
    assert re.search(HERE, said)


def _with_operation(self: Any, operation: Operation, resource: Resource[Config], upload: Upload) -> None: ...
def _with_request(self: Any, resource: Resource[Config], request: Wish, upload: Upload) -> None: ...
def _upload_alone(self: Any, resource: Resource[Config], upload: Upload) -> None: ...


@pytest.mark.parametrize(("function", "method"), [(_with_operation, "POST"), (_with_request, "POST"), (_upload_alone, "GET")])
def test_an_upload_that_could_not_be_sent_is_refused(function: Callable[..., Any], method: Any, tmp_path: Path) -> None:
    def film(*_: Any) -> None: ...

    film.__code__, film.__annotations__ = function.__code__, function.__annotations__
    said = refused(custom_endpoint(method, "/film", permission="operate")(film), tmp_path)
    assert "Only a POST or PUT" in said
    assert re.search(HERE, said)


def test_a_custom_endpoint_called_like_an_operation_of_the_core_is_refused(tmp_path: Path) -> None:
    @custom_endpoint("POST", "/look", permission="operate")
    def reconcile(self: Any, operation: Operation, resource: Resource[Config]) -> None: ...

    assert "choose another name" in refused(reconcile, tmp_path)


def test_two_custom_endpoints_of_one_path_are_refused(tmp_path: Path) -> None:
    class Twice(Plain):
        @custom_endpoint("GET", "/books/{book}", permission="read")
        def one(self, resource: Resource[Config], book: str) -> None: ...

        @custom_endpoint("GET", "/books/{number}", permission="read")
        def two(self, resource: Resource[Config], number: str) -> None: ...

    with pytest.raises(PluginRefused, match="announced twice"):
        Core(Settings(data_dir=tmp_path), plugins=[Twice()])


def test_a_custom_endpoint_may_take_whatever_its_path_holds(tmp_path: Path) -> None:
    class Open(Plain):
        @custom_endpoint("GET", "/books/{book}", permission="read")
        def look(self, resource: Resource[Config], **path: str) -> None: ...

    Core(Settings(data_dir=tmp_path), plugins=[Open()])


def test_a_schedule_takes_an_operation_and_a_resource(tmp_path: Path) -> None:
    @scheduled(every=timedelta(hours=1))
    def dust(self: Any, resource: Resource[Config]) -> None: ...

    assert "must take (operation, resource)" in refused(dust, tmp_path)


@pytest.mark.parametrize(
    "endpoint", ["operations", "events", "keys", "audit", "admin", "Upper", "a_b", "-a", "a/b", "x" * 41, ""]
)
def test_an_endpoint_that_cannot_stand_in_an_address_is_refused(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(PluginRefused, match="must be lower-case words"):
        Core(Settings(data_dir=tmp_path), plugins=[type("Other", (Plain,), {"endpoint": endpoint})()])


def test_two_providers_cannot_share_an_endpoint(tmp_path: Path) -> None:
    with pytest.raises(PluginRefused, match="already served by"):
        Core(Settings(data_dir=tmp_path), plugins=[Plain(), type("Other", (Plain,), {})()])


def test_who_keeps_deleted_data_must_be_able_to_restore_and_purge_it(tmp_path: Path) -> None:
    with pytest.raises(PluginRefused, match="must implement restore"):
        Core(Settings(data_dir=tmp_path), plugins=[type("Keeper", (Plain,), {"retention": timedelta(days=1)})()])


def test_whose_log_can_be_followed_must_be_able_to_show_it(tmp_path: Path) -> None:
    class Follower(Plain):
        async def follow(self, resource: Resource[Any]) -> AsyncGenerator[LogLine, None]:
            yield LogLine(time=datetime.now(UTC), message="one")

    with pytest.raises(PluginRefused, match="must implement logs"):
        Core(Settings(data_dir=tmp_path), plugins=[Follower()])


def test_two_plans_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginRefused, match="two plans of the same id"):
        Core(Settings(data_dir=tmp_path), plugins=[type("Twins", (Plain,), {"plans": (Plan(id="a"), Plan(id="a"))})()])


@pytest.mark.parametrize("field", ["name", "organisationName", "projectName", "userId", "sshKeys", "plan"])
def test_a_configuration_may_not_use_the_fields_of_the_envelope(field: str, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {field: {"type": "string"}}}
    with pytest.raises(PluginRefused, match=field):
        Core(Settings(data_dir=tmp_path), plugins=[type("Wrapped", (Plain,), {"config": schema})()])


def test_a_schema_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginRefused):
        Core(Settings(data_dir=tmp_path), plugins=[type("Odd", (Plain,), {"config": {"type": "nonsense"}})()])


# ── Secrets of a configuration ────────────────────────────────────────────────────────────────────────────────────────


class Door(Config):
    """What a door is like."""

    width: int = 1
    password: str = Field(default="", max_length=4, json_schema_extra={"writeOnly": True})


def test_a_secret_is_in_no_representation_and_in_no_error_of_its_model() -> None:
    assert "hush" not in repr(Door(password="hush"))
    with pytest.raises(ValidationError) as wrong:
        Door(password="hush, hush")
    assert "hush" not in str(wrong.value)


def test_a_stored_configuration_that_no_longer_fits_says_where_and_keeps_its_secrets() -> None:
    with pytest.raises(PermanentError, match="/password") as wrong:
        Configuration(Door).load({"password": "hush, hush"})
    assert "hush" not in str(wrong.value)
