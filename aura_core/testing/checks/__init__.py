"""Every check of the kit, in the report's order."""

from aura_core.testing.checks import plugin, content, faults, lifecycle, security  # noqa: F401, I001  # the order is the report's
from aura_core.testing.registry import PROMISES

__all__ = ["PROMISES"]
