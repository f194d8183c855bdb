"""Every check of the kit, in the report's order."""

from aura_core.testing.checks import plugin, content, deviations, faults, lifecycle, security  # noqa: F401, I001  # in this order
from aura_core.testing.checks import doors, served_doors  # noqa: F401
from aura_core.testing.door_registry import DOOR_PROMISES
from aura_core.testing.registry import PROMISES

__all__ = ["DOOR_PROMISES", "PROMISES"]
