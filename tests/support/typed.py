"""Commands as a user types them, run in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Typed = tuple[int, str, str]  # exit code, standard output, standard error
Cli = Callable[..., Typed]


def exit_code(*words: object) -> int:
    """Run hiereval with these words."""
    from hiereval.cli import main

    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return int(caught.value.code or 0)
