"""Switch Aura's conformance kit on: `check` is each promise of a door, one after the other."""

import pytest
from aura_core.testing import Check

from aura_acme.conformance import conformance


@pytest.fixture(params=conformance.checks(), ids=str)
def check(request: pytest.FixtureRequest) -> Check:
    """One promise; what it says is in Aura's docs/plugins.md, under its name."""
    found: Check = request.param
    return found
