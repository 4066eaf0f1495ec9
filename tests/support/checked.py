"""What the import hook checks calls with: beartype, and no more than a type checker asks for.

An int may stand where a float is asked for, and what a Protocol asks of a value is left to the
type checker: these checks are for shapes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, FrozenDict, beartype


def call(checked: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a module that is being imported, its arguments checked."""
    names = [n for n in vars(sys.modules[checked.__module__]).values() if isinstance(n, type)]
    protocols = FrozenDict({n: Any for n in names if getattr(n, "_is_protocol", False)})
    return beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=protocols))(checked)
