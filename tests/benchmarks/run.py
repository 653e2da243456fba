"""Run the benchmark suite: `python tests/benchmarks/run.py [--quick] [--only NAME] [--out DIR]`; see README.md beside this."""

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # before torch is loaded
sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from benchmarks.suite import main  # noqa: E402

if __name__ == "__main__":
    main()
