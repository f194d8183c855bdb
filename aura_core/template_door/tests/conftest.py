"""Switch Aura's conformance kit on: `check` is each promise of a door, one after the other."""

import pytest
from aura_core.testing import Check

from aura_acme.conformance import conformance


@pytest.fixture(params=conformance.checks(), ids=str)
def check(request: pytest.FixtureRequest) -> Check:
    """One promise; `aura test-plugin --explain NAME` says what it is about."""
    found: Check = request.param
    return found
