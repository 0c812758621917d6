"""What the tests of every kit share: they are coroutines, run by anyio's pytest plugin on asyncio, as the server is."""

from __future__ import annotations

from typing import Any

import pytest


class Asynchronous:
    """Base of the kits; a subclass whose name begins with `Test` is collected."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str | tuple[str, dict[str, Any]]:
        """One backend, whatever the project that uses the kit has chosen for its own tests."""
        return "asyncio"
