"""The shape of the code: imports go one way, also those inside functions; names are used once."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import hiereval

CORE = Path(hiereval.__file__).parent
TOP = CORE.parent
FOLDERS = {  # package -> where it stands, in a checkout or installed
    "hiereval": CORE,
    **{
        f"hiereval.{name}": TOP / name if (TOP / name / "__init__.py").exists() else CORE / name
        for name in ("adapters", "leaderboard", "tasks")
    },
}


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            if name == package or name.split(".")[: package.count(".") + 1] == package.split("."):
                found.setdefault(name, path)
    return found


MODULES = modules()


def imported(path: Path) -> set[str]:
    """The project's modules that a file imports anywhere but for type checking alone."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in MODULES else node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text("utf-8")))
    return {name for name in found if name in MODULES}


GRAPH = {name: imported(path) - {name} for name, path in MODULES.items()}


def test_no_circle_also_not_inside_functions() -> None:
    graph = {name: set(wanted) for name, wanted in GRAPH.items()}
    graph["hiereval"] = set()  # the package itself holds the version and a lazy door
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from error
    assert len(order) == len(MODULES)


def test_the_core_asks_for_no_command() -> None:
    arrows = [
        f"{name} -> {wanted}"
        for name, all_wanted in GRAPH.items()
        for wanted in all_wanted
        if wanted.startswith("hiereval.commands") and not name.startswith("hiereval.commands")
    ]
    assert arrows == []


def test_adapters_tasks_and_probes_are_reached_by_name_alone() -> None:
    """What a third party registers and what is built in are found in the same way."""
    allowed = {"hiereval.adapters", "hiereval.tasks"}
    arrows = [
        f"{name} -> {wanted}"
        for name, all_wanted in GRAPH.items()
        for wanted in all_wanted
        if wanted.startswith(("hiereval.adapters.", "hiereval.tasks."))
        and wanted.rpartition(".")[0] in allowed
        and not name.startswith((*allowed, "hiereval.toy", "hiereval.commands", "hiereval.mteb"))
    ]
    assert arrows == []


def test_one_place_reads_the_environment() -> None:
    """Places alone, besides what a launcher tells its processes."""
    readers = {name for name, path in MODULES.items() if "os.environ" in path.read_text("utf-8")}
    assert readers <= {"hiereval.places", "hiereval.finetune.distributed", "hiereval.processes"}


def test_no_two_modules_of_one_name_and_none_that_hides_the_standard_library() -> None:
    names: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        package, _, name = module.rpartition(".")
        if package not in ("hiereval.commands", "hiereval.testing", ""):
            names[name].append(module)
    doubled = {name: where for name, where in names.items() if len(where) > 1}
    assert doubled == {}
    assert {name for name in names if name in sys.stdlib_module_names} <= {"types"}


def test_every_benchmark_imports_names_that_exist() -> None:
    beside = Path(__file__).parents[1] / "benchmarks"
    local = {path.stem: ast.parse(path.read_text("utf-8")) for path in beside.glob("*.py")}
    assert len(local) > 10
    missing = []
    for script, tree in local.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            path = MODULES.get(node.module)
            source = ast.parse(path.read_text("utf-8")) if path else local.get(node.module)
            known = _names(source) if source else None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if known is not None and alias.name not in known and whole not in MODULES:
                    missing.append(f"benchmarks/{script}.py: {whole}")
    assert not missing


def _names(tree: ast.Module) -> set[str]:
    """The names that a module binds, also under a condition."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found
