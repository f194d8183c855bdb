"""Every check of the kit, in the report's order."""

from aura_core.testing.checks import plugin, content, deviations, faults, life, safety  # noqa: F401, I001  # in this order
from aura_core.testing.promise import PROMISES

__all__ = ["PROMISES"]
