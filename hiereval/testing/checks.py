"""What a check is, and running many so that one failure hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that must hold; `passed` is None where it does not apply."""

    name: str
    passed: bool | None
    detail: str  # what was seen, or why it failed


class Failed(Exception):
    """Something that must hold does not."""


class NotApplicable(Exception):
    """A check that has nothing to look at."""


def run(checks: Iterable[tuple[str, Callable[[], str]]]) -> list[Check]:
    """Run named checks in order; any exception is that check's failure, in one line."""
    results = []
    for name, check in checks:
        try:
            results.append(Check(name, True, check()))
        except NotApplicable as reason:
            results.append(Check(name, None, str(reason)))
        except Failed as reason:
            results.append(Check(name, False, str(reason)))
        except Exception as error:
            line = " ".join(str(error).split())[:300]
            results.append(Check(name, False, f"{type(error).__name__}: {line}"))
    return results


def require(condition: bool, problem: str) -> None:
    """Fail the check with this line unless the condition holds."""
    if not condition:
        raise Failed(problem)
