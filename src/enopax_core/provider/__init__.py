"""What a provider's author writes against. It knows nothing of the ledger, the engine or HTTP."""

from enopax_core.errors import Cancelled, PermanentError, TemporaryError
from enopax_core.provider.base import Provider
from enopax_core.provider.config import Config
from enopax_core.provider.endpoints import CustomEndpoint, Schedule, custom_endpoint, scheduled
from enopax_core.provider.spec import HOOKS, ProviderSpec, hookimpl
from enopax_core.provider.transfers import Download, Sink, Upload
from enopax_core.provider.values import (
    Action,
    Json,
    Metric,
    Observed,
    Operation,
    Outcome,
    Plan,
    Price,
    Resource,
)
from enopax_core.records.condition import Condition
from enopax_core.records.log import LogLine

__all__ = [
    "HOOKS",
    "Action",
    "Cancelled",
    "Condition",
    "Config",
    "CustomEndpoint",
    "Download",
    "Json",
    "LogLine",
    "Metric",
    "Observed",
    "Operation",
    "Outcome",
    "PermanentError",
    "Plan",
    "Price",
    "Provider",
    "ProviderSpec",
    "Resource",
    "Schedule",
    "Sink",
    "TemporaryError",
    "Upload",
    "custom_endpoint",
    "hookimpl",
    "scheduled",
]
