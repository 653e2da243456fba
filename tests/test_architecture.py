"""The order of imports: one arrow between two packages, layers, no cycles, nothing hidden; and files stay small."""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest
from source_tree import ROOT, Import, every_import, exports, functions, imports, modules, tree

# Highest first. What stands left of an arrow may import what stands right of it, never the other way round. A module
# that is not named here (errors, space, check, ...) stands as high as the highest module that it imports.
ORDER = {
    "neuralpde": "cli, report, plots, diagnose -> training, datasets -> models -> simulate"
    " -> pdes, monitors, transforms -> operators -> graph, complexes",
    "solvers": "odeint -> solve -> adjoint, checkpoint, reversible -> loop -> integrators, controllers, interpolate"
    " -> nonlinear -> linear -> protocols",
}
STRANGERS = {"pdes", "monitors", "transforms"}  # on one level, and must not know each other

SOLVERS_MAY_IMPORT = {"torch", "scipy", "numpy"}
ONLY_IN = {"torchdiffeq": "solvers.integrators.external"}  # within solvers
NEVER_LATE = {"torch", "numpy"}  # every run needs them: no reason to import them inside a function
LOADS_BY_NAME = {"solvers._lazy"}  # may call importlib

MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 50  # a function is counted without its docstring
LONG_FUNCTIONS: dict[str, str] = {}  # "solvers/x.py::function": why it is better in one piece

# Where a reduction over a state has to go through Space, and the reductions there that are not over a state.
REDUCES_THROUGH_SPACE = ("solvers/integrators/", "solvers/loop", "solvers/controllers")
REDUCTIONS = {"norm", "vector_norm", "sum", "nansum", "mean", "max", "min", "amax", "amin", "aminmax", "std", "var"}
REDUCTIONS |= {"prod", "logsumexp", "dot", "vdot", "inner", "all", "any"}
PLAIN_REDUCTIONS: dict[str, str] = {}  # "solvers/x.py::function": why it is not over the nodes


def layers(package: str) -> dict[str, int]:
    """Folder or file name -> level; 0 is the lowest."""
    levels = ORDER[package].split("->")
    return {name.strip(): len(levels) - 1 - i for i, level in enumerate(levels) for name in level.split(",")}


def unit(module: str) -> str:
    """The folder or file that a module belongs to: `integrators` for solvers.integrators.base, "" for a package."""
    return [*module.split("."), ""][1]


def reached(module: str, package: str) -> Iterator[list[Import]]:
    """The ways from a module to modules whose level is stated, through modules that have none."""
    seen, ways = {module}, [[found] for found in imports(module)]
    while ways:
        way = ways.pop()
        target = way[-1].target
        if target.partition(".")[0] != package or target in seen:
            continue
        seen.add(target)
        if unit(target) in layers(package):
            yield way
        else:
            ways += [[*way, found] for found in imports(target)]


def text(found: list[Import]) -> str:
    return "\n".join(str(one) for one in found)


@pytest.mark.parametrize("package", ORDER)
def test_imports_follow_the_order_of_layers(package):
    level = layers(package)
    wrong = []
    for module in modules():
        source = unit(module)
        if module.partition(".")[0] != package or source not in level:
            continue
        for way in reached(module, package):
            target = unit(way[-1].target)
            strangers = {source, target} <= STRANGERS and source != target
            if level[target] > level[source] or strangers:
                wrong.append(" -> ".join([module, *(step.target for step in way)]) + f"   ({way[0]})")
    assert not wrong, f"allowed is {ORDER[package]}; found\n" + "\n".join(wrong)


def test_no_cycles():
    graph = {
        module: {one.target for one in imports(module) if one.target in modules() and not one.type_only} - {module}
        for module in modules()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("modules import each other in a circle: " + " <- ".join(error.args[1]))


def test_solvers_imports_little():
    wrong = [
        one
        for one in every_import()
        if one.source.partition(".")[0] == "solvers"
        and (root := one.target.partition(".")[0]) not in SOLVERS_MAY_IMPORT | {"solvers"} | sys.stdlib_module_names
        and ONLY_IN.get(root) != one.source
    ]
    assert not wrong, f"solvers may import {SOLVERS_MAY_IMPORT} and the standard library; found\n{text(wrong)}"


def test_neuralpde_knows_only_the_root_of_solvers():
    public = exports("solvers")
    wrong = []
    for module, path in modules().items():
        for node in ast.walk(tree(path)) if module.startswith("neuralpde") else ():
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                wrong += [f"{path}:{node.lineno}: import {name}" for name in named if name.startswith("solvers.")]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("solvers"):
                bad = named if node.module != "solvers" else [name for name in named if name not in public]
                wrong += [f"{path}:{node.lineno}: from {node.module} import {name}" for name in bad]
    assert not wrong, "take what solvers/__init__.pyi exports: from solvers import Name\n" + "\n".join(wrong)


def test_imports_inside_a_package_are_relative():
    wrong = [
        one
        for one in every_import()
        if one.statement.partition(".")[0] == one.source.partition(".")[0]
        and any(
            isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.level == 0)
            for node in ast.walk(tree(modules()[one.source]))
            if getattr(node, "lineno", 0) == one.line
        )
    ]
    assert not wrong, text(wrong)


def test_outsiders_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name_of = {"scikit-learn": "sklearn"}

    def roots(requirements: list[str]) -> set[str]:
        names = {re.split(r"[<>=!~\[ ;]", text)[0] for text in requirements}
        return {name_of.get(name, name) for name in names}

    core, optional = roots(project["dependencies"]), roots(project["optional-dependencies"]["data"])
    outside = [one for one in every_import() if not one.ours and one.target.partition(".")[0] not in sys.stdlib_module_names]
    undeclared = [one for one in outside if one.target.partition(".")[0] not in core | optional]
    assert not undeclared, f"not among the dependencies in pyproject.toml:\n{text(undeclared)}"
    eager = [one for one in outside if one.target.partition(".")[0] in optional - core and not one.in_function]
    assert not eager, f"an extra is imported where it is used, inside the function:\n{text(eager)}"


def test_no_imports_hidden_in_functions():
    """Packages of others that are slow to load may be imported late; the command line may import anything late."""
    wrong = [
        one
        for one in every_import()
        if one.in_function
        and not one.type_only
        and one.source.split(".")[:2] != ["neuralpde", "cli"]
        and (one.ours or one.target.partition(".")[0] in NEVER_LATE | sys.stdlib_module_names)
    ]
    assert not wrong, f"move to the top of the file:\n{text(wrong)}"


def test_no_imports_by_name():
    wrong = []
    for module, path in modules().items():
        for node in ast.walk(tree(path)):
            call = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            late = module in LOADS_BY_NAME or module.split(".")[:2] == ["neuralpde", "cli"]
            if call.rpartition(".")[2] in ("import_module", "__import__") and not late:
                wrong.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


def test_torch_geometric_is_imported_late():
    """It takes seconds to load; a module that imports it at the top makes every user of the module pay."""
    wrong = [
        one for one in every_import() if one.target.startswith("torch_geometric") and not (one.in_function or one.type_only)
    ]
    assert not wrong, text(wrong)


def test_solvers_loads_without_neuralpde():
    names = [name for name in modules() if name.partition(".")[0] == "solvers" and name not in ONLY_IN.values()]
    code = f"import sys, importlib; sys.modules['neuralpde'] = None\nfor name in {names}: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_files_and_functions_are_short():
    wrong = []
    for path in modules().values():
        name = path.relative_to(ROOT).as_posix()
        lines = len(path.read_text(encoding="utf-8").splitlines())
        wrong += [f"{name}: {lines} lines"] if lines > MAX_FILE_LINES else []
        for function, node in functions(path):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = 1 + node.end_lineno - body[0].lineno if body else 0
            if lines > MAX_FUNCTION_LINES and f"{name}::{function}" not in LONG_FUNCTIONS:
                wrong.append(f"{name}::{function}: {lines} lines")
    assert not wrong, "\n".join(wrong)


def test_no_drawers_for_everything():
    names = {"utils", "util", "helpers", "misc", "common"}
    wrong = [str(path) for name, path in modules().items() if names & set(name.split("."))]
    assert not wrong, f"name the file after the one concept in it: {wrong}"


def test_no_assert_in_the_library():
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules().values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert)
    ]
    assert not wrong, f"raise an error that says what was got, what was expected and what to do: {wrong}"


def test_reductions_over_a_state_go_through_space():
    """A `.norm()` over the nodes is wrong for a batch of graphs and for a partitioned graph."""
    found = {}
    for path in modules().values():
        name = path.relative_to(ROOT).as_posix()
        for function, node in functions(path) if name.startswith(REDUCES_THROUGH_SPACE) else ():
            for call in ast.walk(node):
                if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in REDUCTIONS):
                    continue
                receiver = ast.unparse(call.func.value)
                # what Space returned holds one number per group, and any reduction of that is plain
                of_groups = re.match(r"(torch\.isfinite\()?([\w.]+\.)?space\.\w+\(", receiver)
                if not of_groups and receiver.rpartition(".")[2] != "space" and receiver != "math":
                    found[f"{name}::{function}"] = f"line {call.lineno}: {ast.unparse(call)}"
    wrong = [f"{where}: {what}" for where, what in found.items() if where not in PLAIN_REDUCTIONS]
    assert not wrong, "use problem.space, or name the function in PLAIN_REDUCTIONS with its reason:\n" + "\n".join(wrong)
    stale = sorted(set(PLAIN_REDUCTIONS) - set(found))
    assert not stale, f"PLAIN_REDUCTIONS names functions that no longer reduce anything: {stale}"


def test_tests_are_no_packages():
    wrong = [str(path) for path in (ROOT / "tests").rglob("__init__.py")]
    assert not wrong, f"tests/solvers/ would hide the package solvers: {wrong}"
