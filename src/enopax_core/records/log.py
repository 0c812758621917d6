"""A line of what a backend wrote."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class LogLine(BaseModel, frozen=True):
    """One line of a backend's log."""

    time: datetime
    level: Literal["debug", "info", "warning", "error"] = "info"
    message: str
