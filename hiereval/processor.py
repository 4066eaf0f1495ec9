"""What the processor calls itself."""

from __future__ import annotations

import platform
from pathlib import Path


def name() -> str:
    """Return the processor's model."""
    return _field("model name") or platform.processor() or platform.machine()


def vendor() -> str:
    """Return who made it, as it says itself: `GenuineIntel`, `AuthenticAMD`, ..."""
    return _field("vendor_id") or platform.processor()


def _field(wanted: str) -> str | None:
    """Return a field of the first processor that Linux lists."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(": ")[2] for line in lines if line.startswith(wanted)), None)
