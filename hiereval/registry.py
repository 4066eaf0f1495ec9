"""Plugins by name: adapters, tasks, probes and datasets, ours and others', all entry points.

Nothing is imported until it is asked for by name, so a broken plugin breaks only the run that
names it, and listing needs no import at all.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from hiereval.choice import listed
from hiereval.errors import HierevalError, nearest

Kind = Literal["adapters", "tasks", "probes", "datasets", "models"]
KINDS: tuple[Kind, ...] = ("adapters", "tasks", "probes", "datasets")  # listed and loaded alike
_registered: dict[tuple[Kind, str], Any] = {}


def register(kind: Kind, name: str, target: Any) -> None:
    """Add a plugin by hand, for modules named with `--plugins` and for notebooks."""
    if kind not in get_args(Kind):
        raise HierevalError(f"The plugin kind {kind!r} must be one of {', '.join(get_args(Kind))}.")
    _registered[kind, name] = target


def import_plugins(modules: str) -> None:
    """Import comma-separated modules that call `register`; the current folder is on the path."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    for module in listed(modules):
        try:
            importlib.import_module(module)
        except Exception as error:
            raise HierevalError(
                f"The plugin module {module!r} could not be imported: "
                f"{type(error).__name__}: {error}"
            ) from error


@cache
def _entry_points(kind: Kind) -> dict[str, list[EntryPoint]]:
    """Return what each name stands for: one thing, unless packages disagree."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in entry_points(group=f"hiereval.{kind}"):
        found.setdefault(point.name, {})[point.value] = point
    return {name: list(points.values()) for name, points in found.items()}


def names(kind: Kind) -> list[str]:
    """Return every known name of this kind, sorted, importing nothing."""
    return sorted({*_entry_points(kind), *(name for k, name in _registered if k == kind)})


def foreign() -> list[tuple[Kind, str]]:
    """Return the plugins that hiereval did not bring itself."""
    found = [
        (kind, name)
        for kind in KINDS
        for name, points in _entry_points(kind).items()
        if any(point.module.partition(".")[0] != "hiereval" for point in points)
    ]
    return [*found, *_registered]


def load(kind: Kind, name: str) -> Any:
    """Return the class or function behind a name.

    Raises HierevalError with the nearest name if it is unknown, with the packages if several
    bring it, or with the plugin's own error if its module cannot be imported.
    """
    if (kind, name) in _registered:
        return _registered[kind, name]
    points = _entry_points(kind).get(name, [])
    if len(points) > 1:
        raise HierevalError(
            f"The {kind[:-1]} {name!r} must come from one package; {_packages(points)} bring it. "
            "Uninstall all but one."
        )
    if not points:
        raise HierevalError(
            f"The {kind[:-1]} {name!r} must be one of {', '.join(names(kind))}."
            f"{nearest(name, names(kind))} 'hiereval ls {kind}' describes them."
        )
    try:
        return points[0].load()
    except Exception as error:  # a plugin can fail in any way; the run that names it says how
        dist = points[0].dist
        origin = f" (from {dist.name} {dist.version})" if dist else ""
        raise HierevalError(
            f"The {kind[:-1]} {name!r}{origin} could not be loaded: {type(error).__name__}: {error}"
        ) from error


def describe(kind: Kind, name: str) -> tuple[str, str]:
    """Return (where from, first line of its docstring) without importing the plugin's module."""
    target = _registered.get((kind, name))
    if target is not None:
        return target.__module__, _first_line(target.__doc__)
    point, *others = _entry_points(kind)[name]
    origin = _packages([point])
    if others:
        return _packages([point, *others]), "brought by several packages: uninstall all but one"
    try:
        spec = importlib.util.find_spec(point.module)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No module named {point.module!r}")
        tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    except Exception as error:
        return origin, f"cannot be read: {type(error).__name__}: {error}"
    attribute = point.attr.split(".")[0]
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
            return origin, _first_line(ast.get_docstring(node) or ast.get_docstring(tree))
    return origin, _first_line(ast.get_docstring(tree))


def _packages(points: Iterable[EntryPoint]) -> str:
    return " and ".join(point.dist.name if point.dist else point.module for point in points)


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


def parameters(configured: Any) -> dict[str, Any]:
    """Return a configured task's or probe's parameters as JSON values."""
    fields = {
        field.name: getattr(configured, field.name)
        for field in dataclasses.fields(configured)
        if field.init
    }
    values: dict[str, Any] = json.loads(json.dumps(fields, default=str))
    return values


def configure(cls: type, arguments: Mapping[str, str], what: str) -> Any:
    """Build a dataclass from `field=value` strings, each checked against the field's type."""
    from pydantic import TypeAdapter, ValidationError

    hints = get_type_hints(cls)
    fields = [f.name for f in dataclasses.fields(cls) if f.init]
    values = {}
    for key, given in arguments.items():
        if key not in fields:
            raise HierevalError(
                f"The parameter {key!r} of {what} must be one of "
                f"{', '.join(fields) or 'none'}.{nearest(key, fields)}"
            )
        try:
            values[key] = TypeAdapter(hints[key]).validate_python(given)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise HierevalError(
                f"The {key!r} parameter of {what} got {given!r}: {problem}."
            ) from error
    try:
        return cls(**values)
    except ValueError as error:
        raise HierevalError(str(error)) from error
