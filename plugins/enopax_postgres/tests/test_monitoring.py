"""What stands ready for Prometheus and Grafana names metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import anyio
import pytest
from plugins.enopax_postgres.tests.conftest import Site, rows
from prometheus_client import generate_latest

pytestmark = pytest.mark.anyio
FOLDER = Path(__file__).parents[3] / "deploy" / "monitoring"
NAME = re.compile(r"\b((?:pg|enopax_postgres)_[a-z_]+)")


def named() -> set[str]:
    """Metrics in the dashboard and in the rules."""
    dashboard = json.loads((FOLDER / "postgres-dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += re.findall(r"^ +expr: (.*)$", (FOLDER / "postgres-alerts.yml").read_text(), re.MULTILINE)
    return {name for expression in expressions for name in NAME.findall(expression)}


async def test_every_metric_of_dashboard_and_alerts_is_exposed_for_each_database(site: Site) -> None:
    made = await site.make("measured", plan="postgres-medium")
    await site.call("POST", f"/{made['id']}/backups")
    await rows(made, "SELECT 1")
    with anyio.fail_after(60):
        while True:
            shown = generate_latest(site.core.host.registry).decode()
            exposed = set(re.findall(rf'^([a-z_]+){{resource="{made["id"]}"}} ', shown, re.MULTILINE))
            if "enopax_postgres_last_backup" in exposed:
                break
            await anyio.sleep(0.1)
    assert named() - exposed == set()
