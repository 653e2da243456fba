"""The options of every verb, as dataclasses: the command line, YAML files and `--print_config` are made of these.

Nothing heavy is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .diagnose_options import Diagnose
from .solver_options import SolverOptions as SolverOptions


@dataclass(frozen=True)
class Demo:
    """What `neuralpde demo` does.

    Args:
        only: Parts to run, of wave, heat, depth, learn (all by default).
        seeds: Seeds of the learned models.
        out: Folder of the results.
        quiet: Print nothing but errors.
        json: Print the summary as JSON.
    """

    only: list[str] = field(default_factory=list)
    seeds: int = 5
    out: str = "out/demo"
    quiet: bool = False
    json: bool = False


@dataclass(frozen=True)
class Solve:
    """What `neuralpde solve` does.

    Args:
        graph: Name (karate, sea:salish, terrain:jacksboro:100x100, grid:64x64, cora, ...) or file of a graph.
        pde: Equation by name (`neuralpde info pdes`).
        pde_options: Its parameters, as in '{conductivity: 0.5}'.
        u0: Initial features: bump (a Gaussian hill), random, node:K, features (the graph's own), or a .npy file.
        t_end: Final time.
        saves: Number of equally spaced output times.
        solver: How to integrate.
        monitors: Observables to record.
        animate: Write a GIF (for graphs with positions).
        seed: Of random initial features and weights.
        dtype: float64 or float32.
        device: cpu, cuda or auto.
        out: Folder of the results.
        quiet: Print nothing but errors.
        json: Print the run record as JSON.
    """

    graph: str
    pde: str = "diffusion"
    pde_options: dict[str, Any] = field(default_factory=dict)
    u0: str = "bump"
    t_end: float = 1.0
    saves: int = 50
    solver: SolverOptions = field(default_factory=SolverOptions)
    monitors: list[str] = field(default_factory=lambda: ["dirichlet_energy", "rayleigh_quotient", "norm"])
    animate: bool = False
    seed: int = 0
    dtype: str = "float64"
    device: str = "auto"
    out: str = "out/solve"
    quiet: bool = False
    json: bool = False


@dataclass(frozen=True)
class Compare:
    """What `neuralpde compare` does.

    Args:
        graph: Name or file of a graph, as in solve.
        pde: Equation by name.
        pde_options: Its parameters.
        u0: Initial features, as in solve.
        t_end: Final time.
        methods: Integrators, separated by commas.
        dts: Step sizes for each method, separated by commas.
        tols: Tolerances for each adaptive method: separated by commas, or 1e-2:1e-8 for every power of ten between.
        seed: Of random initial features and weights.
        dtype: float64 or float32 (errors are against a float64 reference).
        device: cpu, cuda or auto.
        out: Folder of the results.
        quiet: Print nothing but errors.
        json: Print the table as JSON.
    """

    graph: str
    pde: str = "diffusion"
    pde_options: dict[str, Any] = field(default_factory=dict)
    u0: str = "bump"
    t_end: float = 1.0
    methods: str = "rk4,dopri5,crank_nicolson,trbdf2"
    dts: str = ""
    tols: str = "1e-2:1e-6"
    seed: int = 0
    dtype: str = "float64"
    device: str = "auto"
    out: str = "out/compare"
    quiet: bool = False
    json: bool = False


@dataclass(frozen=True)
class Train:
    """What `neuralpde train` does.

    Args:
        data: Labelled graph by name: digits, karate, cora, citeseer, texas, ... (`neuralpde info datasets`).
        pde: Model: grand-l (or grand), grand-nl, grand-nl-rw, graphcon, diffusion, or the baselines mlp and gcn.
        pde_options: Parameters of the equation, as in '{heads: 2}'.
        seeds: Number of seeds; each is a run.
        first_seed: The first of them.
        split: public, random (20 and 30 a class, Shchur), development (1500 nodes with 20 a class, Gasteiger; 5000 for
            Coauthor), or the number of one of the ten published splits (default: the first that exists). Random and
            development draw a new split for every seed.
        component: all, or largest for the largest connected component only.
        data_root: Folder of raw files (default: the environment variable NEURALPDE_DATA).
        solver: How to integrate; method auto and no dt take those of the preset.
        hidden: Width (default: the preset's, here and below).
        t: Time for which the equation runs.
        layers: Layers of a baseline.
        input_dropout: Dropout of the features.
        dropout: Dropout before the decoder.
        epochs: Epochs.
        lr: Learning rate.
        weight_decay: Weight decay.
        optimizer: adam, adamw, adamax, rmsprop or sgd.
        patience: Epochs without a better validation accuracy after which a run ends.
        regularisation: Penalties along the solution, as in '{kinetic: 0.01, jacobian: 0.01}'.
        horizon: Choose the output time by validation after every epoch, up to so many times t, as GRAND's released code does
            with 3; the test accuracy at the model's own time is recorded beside.
        resume: Folder of a stopped run: finished seeds are kept, the broken one goes on.
        out: Folder of the results.
        quiet: Print nothing but errors.
        json: Print the record as JSON.
    """

    data: str = "digits"
    pde: str = "grand"
    pde_options: dict[str, Any] = field(default_factory=dict)
    seeds: int = 5
    first_seed: int = 0
    split: str = ""
    component: str = "all"
    data_root: str = ""
    solver: SolverOptions = field(default_factory=SolverOptions)
    hidden: int | None = None
    t: float | None = None
    layers: int | None = None
    input_dropout: float | None = None
    dropout: float | None = None
    epochs: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    optimizer: str | None = None
    patience: int | None = None
    regularisation: dict[str, float] = field(default_factory=dict)
    horizon: float | None = None
    resume: str = ""
    out: str = "out/train"
    quiet: bool = False
    json: bool = False


@dataclass(frozen=True)
class Repro:
    """What `neuralpde repro` does.

    Args:
        paper: grand, graphcon or blend; table writes the table of all results, findings shows one of FINDINGS.md, figures
            computes and draws one of its pictures.
        name: Of a finding, or of a figure.
        table: Of the paper (default: all, here and below).
        dataset: Labelled graph by name.
        model: As the paper calls it.
        protocol: public, shchur, development or geom-gcn.
        splits: Number of splits.
        seeds: Number of seeds on each split.
        search: Tune with so many trials, at most 40, by validation, on seeds and splits that are not reported.
        time_on_validation: Choose the output time by validation.
        results: Folder of the results (default: paper_repro/results).
        quick: Every model for two epochs on 34 nodes.
        list: Show the published cells.
        quiet: Print nothing but errors.
    """

    paper: str
    name: str = ""
    table: str = ""
    dataset: str = ""
    model: str = ""
    protocol: str = ""
    splits: int | None = None
    seeds: int | None = None
    search: int | None = None
    time_on_validation: bool = False
    results: str = ""
    quick: bool = False
    list: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Info:
    """What `neuralpde info` shows.

    Args:
        what: methods, pdes, monitors, datasets, or a graph by name or file.
        json: Print as JSON.
    """

    what: str = "all"
    json: bool = False


@dataclass(frozen=True)
class Verb:
    """One verb: its options, and the positional ones among them as (name, type, help, default)."""

    help: str
    options: type
    positionals: tuple[tuple[str, type, str, str | None], ...] = ()


FLAGS = {
    "quiet": "Print nothing but errors.",
    "json": "Print the record of the run as JSON.",
    "animate": "Write a GIF (for graphs with positions).",
    "time_on_validation": "Choose the output time by validation; kept apart from results without.",
    "quick": "Every model for two epochs on 34 nodes; nothing is kept.",
    "list": "Show the published cells, and run nothing.",
}
"""Switches, and their help."""

_GRAPH = ("graph", str, "Name or file of a graph (neuralpde info datasets).", None)
VERBS: dict[str, Verb] = {
    "demo": Verb("Equations on real graphs, offline: a wave, heat, depth, learning; writes a report.", Demo),
    "solve": Verb("Solve an equation on a graph and write what happened.", Solve, (_GRAPH,)),
    "compare": Verb("Run many integrators on one problem: error against cost.", Compare, (_GRAPH,)),
    "diagnose": Verb("Measure whether an equation or a network oversmooths, how fast, and why.", Diagnose, (_GRAPH,)),
    "train": Verb("Learn an equation as a layer of a network: accuracy over several seeds.", Train),
    "repro": Verb(
        "Run the tables of papers again, from a checkout of the repository.",
        Repro,
        (
            ("paper", str, "grand, graphcon, blend, table or findings.", None),
            ("name", str, "Of a finding.", ""),
        ),
    ),
    "info": Verb(
        "List methods, equations, monitors, datasets, or describe a graph.",
        Info,
        (("what", str, "methods, pdes, monitors, datasets, or a graph.", "all"),),
    ),
}
