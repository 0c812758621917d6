"""What a provider may say of a service."""

from __future__ import annotations

import pytest

from enopax_core.runtime import File, Port, Probe, Service


@pytest.mark.parametrize("id", ["", "Upper", "a/b", "a..b", ".a", "a-", "a" * 101])
def test_an_id_that_is_no_file_name_everywhere_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        Service(id=id, resource=None, command=["true"])


@pytest.mark.parametrize("path", ["/etc/passwd", "../other", "a/../../b", "", "a\0b"])
def test_a_file_outside_of_the_services_directory_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="below"):
        Service(id="a.b", resource=None, command=["true"], files={path: File(content=b"")})


def test_a_service_without_command_or_image_is_refused() -> None:
    with pytest.raises(ValueError, match="neither"):
        Service(id="a.b", resource=None, command=[])


def test_a_probe_of_a_port_that_the_service_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no port named web"):
        Service(id="a.b", resource=None, command=["true"], ports={"main": Port(number=1)}, readiness=Probe(port="web"))


def test_a_probe_looks_at_one_thing() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Probe(port="main", path="socket")


def test_what_may_hold_secrets_is_in_no_representation() -> None:
    files = {"password": File(content=b"hunter2")}
    service = Service(id="a.b", resource=None, command=["true"], files=files, environment={"PASSWORD": "hunter2"})
    assert "hunter2" not in repr(service)
