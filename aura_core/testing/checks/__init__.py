"""Every check of the kit, in the report's order."""

from aura_core.testing.checks import plugin, pace, content, records, deviations, faults  # noqa: F401, I001  # in this order
from aura_core.testing.checks import lifecycle, questions, security, other_hooks  # noqa: F401  # in this order, too
from aura_core.testing.checks import doors, served_doors  # noqa: F401
from aura_core.testing.door_registry import DOOR_PROMISES
from aura_core.testing.registry import PROMISES

__all__ = ["DOOR_PROMISES", "PROMISES"]
