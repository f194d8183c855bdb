"""Switch Aura's conformance kit on: `check` is each promise of a provider, one after the other."""

import pytest
from aura_telex.conformance import conformance

from aura_core.testing import Check


@pytest.fixture(params=conformance.checks(), ids=str)
def check(request: pytest.FixtureRequest) -> Check:
    """One promise; `aura test-plugin --explain NAME` says what it is about."""
    found: Check = request.param
    return found
