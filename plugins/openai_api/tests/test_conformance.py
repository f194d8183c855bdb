"""The door keeps every promise that the conformance kit knows."""

import pytest
from aura_openai_api.conformance import conformance

from aura_core.testing import Check

CHECKS = conformance.checks()


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_promise(check: Check) -> None:
    check.run()


def test_the_kit_is_read() -> None:
    assert len(CHECKS) > 8
