"""The package from outside: what `import neuralpde` loads, what it exports, its one version, its README."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from source_tree import ROOT, exports, modules

HEAVY = ("torch", "torch_geometric", "scipy", "matplotlib", "sklearn", "networkx", "torchdiffeq")
LAZY_PACKAGES = [name for name in modules() if exports(name)]


def run(*args: str, cwd: Path = ROOT, path: str = str(ROOT)) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *args], cwd=cwd, env=environment, capture_output=True, text=True)


def loaded_by(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after `code`."""
    done = run("-c", f"{code}\nimport sys; print('\\n' + str([name for name in {HEAVY} if name in sys.modules]))")
    assert done.returncode == 0, done.stderr
    return set(ast.literal_eval(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", ["neuralpde", "solvers"])
def test_import_loads_nothing_heavy(package):
    assert loaded_by(f"import {package}; dir({package})") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["solve", "--help"], ["sovle"]], ids=" ".join)
def test_command_line_answers_without_torch(arguments):
    code = f"from neuralpde.cli import main\ntry:\n    main({arguments})\nexcept SystemExit:\n    pass"
    assert not loaded_by(code) & {"torch", "torch_geometric"}


def test_python_m_is_the_command_line():
    done = run("-m", "neuralpde", "--help")
    assert done.returncode == 0, done.stderr
    for verb in ("demo", "solve", "compare", "train", "info"):
        assert verb in done.stdout


def test_torch_geometric_is_loaded_by_no_export():
    everything = "; ".join(f"import {package}; [getattr({package}, n) for n in dir({package})]" for package in LAZY_PACKAGES)
    assert "torch_geometric" not in loaded_by(everything)


def test_exports_exist_and_stay_what_they_are():
    """Each line of each stub gives its object, also once every module is loaded: `solvers.odeint` is no module then."""
    objects = [(package, name) for package in LAZY_PACKAGES for name, (at, _) in exports(package).items() if at != package]
    code = f"""
import importlib, types
for again in (False, True):
    for package, name in {objects}:
        try:
            found = getattr(importlib.import_module(package), name)
        except Exception as error:
            print(f"{{package}}.{{name}}: {{type(error).__name__}}: {{error}}")
        else:
            if isinstance(found, types.ModuleType):
                print(f"{{package}}.{{name}} is the module of that name")
"""
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    assert not done.stdout, done.stdout


@pytest.mark.parametrize("content", ["", "def solve():\n    return 'another one'\n"], ids=["empty", "look-alike"])
def test_another_solvers_is_named(tmp_path, content):
    other = tmp_path / "solvers" / "__init__.py"
    other.parent.mkdir()
    other.write_text(content)
    done = run("-c", "import neuralpde", cwd=tmp_path, path=f"{tmp_path}{os.pathsep}{ROOT}")
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    assert done.returncode != 0, "neuralpde took another package named solvers for its own"
    assert "ImportError" in done.stderr and str(other) in done.stderr, last


def test_one_version():
    import neuralpde

    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert neuralpde.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_constraints_and_ranges_agree():
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert len(pinned) == 1 and re.fullmatch(r"torch==[\d.]+", pinned[0])


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_names_exist():
    import neuralpde
    import solvers

    packages, missing = {"neuralpde": neuralpde, "solvers": solvers}, []
    for block in re.findall(r"```python\n(.*?)```", readme(), re.S):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module in packages:
                missing += [f"{node.module}.{a.name}" for a in node.names if not hasattr(packages[node.module], a.name)]
    assert not missing, f"README.md imports what does not exist: {missing}"


def test_readme_paths_and_targets_exist():
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make (\w[\w-]*)", readme(), re.M))
    assert {"demo", "test"} <= named <= targets, f"README.md names {named}; the Makefile has {targets}"
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", readme()) if "://" not in link]
    gone = [link for link in links if not (ROOT / link).exists()]
    assert not gone, f"README.md links to what is not there: {gone}"
