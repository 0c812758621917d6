"""What providers rely on in a runtime, as tests that every implementation passes. Real processes or containers run."""

from enopax_core.testing.runtime.commands import Commands
from enopax_core.testing.runtime.life import Life
from enopax_core.testing.runtime.looks import Looks
from enopax_core.testing.runtime.readiness import Readiness
from enopax_core.testing.runtime.surroundings import Surroundings

__all__ = ["RuntimeConformance"]


class RuntimeConformance(Life, Readiness, Surroundings, Looks, Commands):
    """Subclass it, say how the runtime is opened (`open`), what image it needs, if any, and run pytest."""
