"""A typed client for servers elsewhere, blocking or asynchronous by one implementation.

What is asked is a value, built without I/O by the functions of `providers`, `resources`, `operations`, `keys` and `audit`;
a client sends it and gives the typed answer:

    with Client("http://127.0.0.1:3001", key) as client:
        made = client.send(resources.provision("git-repo", {"name": "site", "organisationName": "Acme"}))

    async with AsyncClient(url, key) as client:
        made = await client.send(resources.show("git-repo", id))

Imports nothing of the server.
"""

from enopax_core.client import audit, keys, operations, providers, resources
from enopax_core.client.ask import Ask
from enopax_core.client.clients import AsyncClient, Client
from enopax_core.client.exchange import Patience
from enopax_core.client.values import (
    Called,
    Change,
    CustomEndpoint,
    Deletion,
    Entry,
    Event,
    Key,
    LogLine,
    Metric,
    Operation,
    Page,
    Plan,
    Preview,
    Progress,
    Provider,
    Resource,
    Secrets,
    Token,
    Verification,
)

__all__ = [
    "Ask",
    "AsyncClient",
    "Called",
    "Change",
    "Client",
    "CustomEndpoint",
    "Deletion",
    "Entry",
    "Event",
    "Key",
    "LogLine",
    "Metric",
    "Operation",
    "Page",
    "Patience",
    "Plan",
    "Preview",
    "Progress",
    "Provider",
    "Resource",
    "Secrets",
    "Token",
    "Verification",
    "audit",
    "keys",
    "operations",
    "providers",
    "resources",
]
