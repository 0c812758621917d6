"""Where long-lived services run: databases, nodes and agents that outlive the API server.

A provider describes a `Service`; the site's `Runtime` (`host.runtime`) starts it, keeps it alive, and brings it back after
a crash or a reboot. It knows neither resources nor the ledger: what it needs of them (ids, ports) it is handed.
"""

from enopax_core.errors import RuntimeUnavailable, ServiceFailed
from enopax_core.records.log import LogLine
from enopax_core.runtime.interface import Completed, Known, Runtime, ServiceMetrics, State, Status
from enopax_core.runtime.service import File, Limits, Log, Port, Probe, Service, Stop, Volume

__all__ = [
    "Completed",
    "File",
    "Known",
    "Limits",
    "Log",
    "LogLine",
    "Port",
    "Probe",
    "Runtime",
    "RuntimeUnavailable",
    "Service",
    "ServiceFailed",
    "ServiceMetrics",
    "State",
    "Status",
    "Stop",
    "Volume",
]
