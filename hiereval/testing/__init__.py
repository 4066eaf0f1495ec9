"""The conformance kit: what every adapter, task and probe must do, ours and third parties'.

Each function returns a list of `Check`; a test asserts that none failed:

    failed = [check for check in check_adapter(MyAdapter("checkpoint", LoadOptions()))
              if check.passed is False]
    assert not failed, failed
"""

from __future__ import annotations

from hiereval.testing.adapters import check_adapter, check_vectors
from hiereval.testing.checks import Check
from hiereval.testing.probes import check_probe
from hiereval.testing.tasks import check_task

__all__ = ["Check", "check_adapter", "check_probe", "check_task", "check_vectors"]
