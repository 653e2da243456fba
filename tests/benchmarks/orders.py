"""The order of every method: stated and measured, on the problems of the contract tests.

python tests/benchmarks/orders.py
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch

from solvers import Integrator

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))


def main() -> None:
    """Print a table in Markdown; measured as the contract test measures."""
    spec = importlib.util.spec_from_file_location("contract", TESTS / "solvers" / "test_integrator_contract.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("tests/solvers/test_integrator_contract.py is not beside this folder")
    contract = importlib.util.module_from_spec(spec)
    sys.modules["contract"] = contract
    spec.loader.exec_module(contract)
    torch.set_num_threads(1)
    print("| method | order stated | measured | kind |\n| --- | --- | --- | --- |")
    for name in contract.NAMES:
        method = contract.method_named(name)
        print(f"| {name} | {method.order} | {measured(contract, method):.2f} | {kind(method)} |", flush=True)


def measured(contract: ModuleType, method: Integrator) -> float:
    """As `test_order` of the contract."""
    problem = contract.problem_for(method)
    if method.order > 6:
        steps = [16, 20, 24, 28]
        return contract.slope(steps, [contract.largest_error(method, problem, n, -1.0) for n in steps])
    return contract.measured_order(lambda n: contract.largest_error(method, problem, n), method)


def kind(method: Integrator) -> str:
    words = ["explicit" if method.explicit else "implicit", *([method.needs] if method.needs else [])]
    return ", ".join([*words, *(["adaptive"] if method.adaptive else [])])


if __name__ == "__main__":
    main()
