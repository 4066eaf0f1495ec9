"""Controls: the rows beside a model that tell a finding from an artefact.

Word count, character count and a constant need no model. The random-init twins are the model's own
architecture without training; of text tasks there are several, because one seed says little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hiereval.choice import listed
from hiereval.errors import HierevalError, nearest
from hiereval.plan import RunConfig

CONTROLS = ("words", "characters", "constant", "random-init")
TEXT_TWINS, IMAGE_TWINS = 5, 1  # seeds, unless `--twins` says otherwise


def chosen(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the control names that `--controls` stands for: all, none, or a list of them."""
    names = listed(given) if isinstance(given, str) else tuple(given)
    if names in (("all",), ("none",)):
        return CONTROLS if names == ("all",) else ()
    for name in names:
        if name not in CONTROLS:
            raise HierevalError(
                f"The control {name!r} must be all, none or of {', '.join(CONTROLS)}."
                f"{nearest(name, CONTROLS)}"
            )
    return names


def runs(config: RunConfig) -> Iterator[tuple[str, list[RunConfig]]]:
    """Yield each wanted control's name and its runs: over the same data, learning-free.

    A control, or a model that is untrained itself, has none.
    """
    if config.model.startswith("control:") or config.random_init is not None:
        return
    plain = replace(
        config, probes=("empty-root",), probe_args={}, controls=(), name=None, null_draws=0
    )  # what is compared with needs no null of its own
    for name in config.controls:
        if name != "random-init":
            yield name, [replace(plain, model=f"control:{name}", model_args={}, revision=None)]
            continue
        text, image = (config.twins or n for n in (TEXT_TWINS, IMAGE_TWINS))
        yield (
            name,
            [
                replace(plain, name=config.name, random_init=config.seed + i, text_only=i >= image)
                for i in range(max(text, image))
            ],
        )
