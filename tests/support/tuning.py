"""Fine-tuning as the tests call it: offline, in the test's own cache."""

from __future__ import annotations

from typing import Any

from hiereval.finetune import finetuning
from hiereval.finetune.finetuning import FinetuneConfig
from hiereval.session import Session


def finetune(
    config: FinetuneConfig,
    report: Any = lambda step, steps, losses: None,
    **settings: Any,
) -> str:
    session = Session.of(device="cpu", offline=True, **settings)
    return finetuning.finetune(session, config, report)
