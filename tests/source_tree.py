"""The two packages as their source text says they are: modules, the stubs' exports, and every import, read by `ast`.

Nothing is imported, so a module that does not load can still be judged. Folders are walked, never listed.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("neuralpde", "solvers")


@dataclass(frozen=True)
class Import:
    """One imported name: `source`, a module of ours, needs `target`, the module that defines the name."""

    source: str
    target: str
    statement: str  # the module as the statement names it: `solvers` in `from solvers import Dopri5`
    line: int
    in_function: bool
    type_only: bool

    @property
    def ours(self) -> bool:
        return self.target.partition(".")[0] in PACKAGES

    def __str__(self) -> str:
        return f"{modules()[self.source].relative_to(ROOT)}:{self.line}: {self.source} imports {self.target}"


@cache
def modules(root: Path = ROOT) -> dict[str, Path]:
    """Dotted name -> file, for every module of both packages."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def absolute(module: str, is_package: bool, node: ast.ImportFrom) -> str:
    """The module that a (relative) `from` statement names."""
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    base = parts[: len(parts) - node.level + is_package]
    return ".".join([*base, node.module] if node.module else base)


@cache
def exports(package: str) -> dict[str, tuple[str, str]]:
    """Exported name -> (module, name there), from the stub beside the package's `__init__.py`."""
    path = modules().get(package)
    stub = path.with_suffix(".pyi") if path is not None and path.name == "__init__.py" else None
    if stub is None or not stub.exists():
        return {}
    return {
        alias.asname or alias.name: (absolute(package, True, node), alias.name)
        for node in tree(stub).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def origin(module: str, name: str) -> str:
    """The module that defines `name` as imported from `module`, through any number of stubs."""
    while name in exports(module):
        following, name = exports(module)[name]
        if following == module:
            break
        module = following
    return f"{module}.{name}" if f"{module}.{name}" in modules() else module


def imports(module: str) -> list[Import]:
    """Every import of a module, those inside functions and under TYPE_CHECKING too."""
    return list(_walk(module, tree(modules()[module]), False, False))


def every_import() -> list[Import]:
    return [found for module in modules() for found in imports(module)]


def _walk(module: str, node: ast.AST, in_function: bool, type_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(module, alias.name, alias.name, child.lineno, in_function, type_only)
        elif isinstance(child, ast.ImportFrom):
            named = absolute(module, modules()[module].name == "__init__.py", child)
            for alias in child.names:
                target = origin(named, alias.name)
                yield Import(module, target, named, child.lineno, in_function, type_only)
        else:
            deeper = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(module, child, deeper, type_only or _is_type_checking(child))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Qualified name and node of every function in a file, the nested ones too."""

    def visit(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            inner = f"{prefix}{child.name}." if named else prefix
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield inner.rstrip("."), child
            yield from visit(child, inner)

    yield from visit(tree(path), "")
