"""What the conformance kit finds wrong."""

from __future__ import annotations

from collections.abc import Sequence

from hiereval.testing import Check


def failed(checks: Sequence[Check]) -> dict[str, str]:
    """Return what failed, and why."""
    return {check.name: check.detail for check in checks if check.passed is False}
