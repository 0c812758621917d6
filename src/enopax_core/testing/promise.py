"""How a kit says that a promise is broken: a sentence that says what to change, without a traceback of the kit."""

from __future__ import annotations

from typing import NoReturn

import pytest


def promise(kept: bool, message: str) -> None:
    """Fail the test with a sentence unless the promise was kept."""
    if not kept:
        broken(message)


def broken(message: str) -> NoReturn:
    """Fail the test with a sentence."""
    pytest.fail(message, pytrace=False)
