"""Part 2 as it is told."""

from __future__ import annotations

from ..output import RunFolder
from .heat import HeatSetup, Smoothing, smooth_terrain
from .heat_pictures import terrain_picture, work_picture
from .part import Note, Part, Picture, Rows, Tick, between
from .style import save

_COLUMNS = {
    "method": "method",
    "setting": "step / tolerance",
    "error": "error",
    "steps": "steps",
    "evaluations": "evaluations",
    "linear_iterations": "CG its",
    "seconds": "seconds",
    "told": "status",
}


def heat(folder: RunFolder, tick: Tick, setup: HeatSetup | None = None) -> Part:
    """Run part 2 and write its files."""
    setup = setup or HeatSetup()
    s = smooth_terrain(setup, between(tick, 0.0, 0.95))
    tick(0.95, "pictures")
    save(terrain_picture(s, setup.t_end), folder.file("heat_terrain.png"))
    save(work_picture(s), folder.file("heat_work_precision.png"))
    folder.write_csv("heat.csv", s.comparison.records())
    tick(1.0, "done")
    rows = [{**r, "told": f"refused: {r['why']}" if r["status"] == "refused" else r["status"]} for r in s.records()]
    facts = {
        "nodes": s.graph.num_nodes,
        "edges": s.graph.num_edges // 2,
        "methods": sorted({row.method for row in s.comparison.rows}),
        "refused": {row.method: row.note for row in s.refused},
        "rows": s.comparison.records(),
    }
    return Part("heat", "Heat over real terrain, by many integrators", _blocks(setup, s, rows), facts, _COMMANDS)


_COMMANDS = (
    (
        "methods, steps and tolerances of your own, on a corner of the terrain or on any graph",
        "neuralpde compare terrain:jacksboro:100x100 --pde diffusion --t_end 10 --methods rk4,dopri5,trbdf2 "
        "--dts 0.1,0.3 --tols 1e-2:1e-6",
    ),
    ("every integrator, with its order and its stability limit", "neuralpde info methods"),
)


def _blocks(setup: HeatSetup, s: Smoothing, rows: list[dict[str, object]]) -> list[str | Note | Picture | Rows]:
    rough = float(s.graph.space.norm(s.after - s.before) / s.graph.space.norm(s.before))
    counts = len({r["method"] for r in rows})
    part = "all of it" if setup.crop is None else f"the south-western {setup.crop[0]} x {setup.crop[1]} cells"
    return [
        "Equation: u' = -L u, heat on a graph with L = D - A. The graph is the terrain at the Jacksboro fault, Tennessee "
        f"(jacksboro_fault_dem.npz of matplotlib; {part}): {s.graph.num_nodes:,} cells, {s.graph.num_edges // 2:,} edges of "
        "weight 1. The initial state is the elevation itself, in metres and float64, so heat smooths the terrain.",
        Picture(
            "heat_terrain.png",
            f"Elevation before and after t = {setup.t_end:g} (a point spreads to sqrt(2 t) = {(2 * setup.t_end) ** 0.5:.1f} "
            f"cells; the state changes by {rough:.1%} in the Euclidean norm), and one section. The mean height is conserved.",
        ),
        f"{len(rows)} runs of {counts} integrators. The error is |u - reference| / |reference| at the end; the reference is "
        "the action of the matrix exponential in float64 (scipy's expm_multiply). Products with L are the common currency: "
        "one per evaluation, and one per iteration of conjugate gradients inside an implicit step.",
        Picture(
            "heat_work_precision.png",
            "Work and precision, logarithmic: lower is more accurate, further left is cheaper. Circles: explicit "
            "Runge-Kutta; squares: explicit multistep; triangles and diamonds: implicit.",
        ),
        Rows(
            "Work and precision: relative error at the end, and what it cost.",
            rows,
            _COLUMNS,
            {"error": "{:.1e}", "seconds": "{:.2f}"},
        ),
        *(Note(f"Refused before the first step, in these words: {row.note}") for row in s.refused[:1]),
        *_findings(s),
    ]


def _findings(s: Smoothing) -> list[str]:
    words = []
    for bound in (1e-3, 1e-6):
        best = s.comparison.cheapest(bound)
        if best is not None:
            at = f"dt = {best.dt:g}" if best.dt is not None else f"rtol = {best.rtol:.0e}"
            words.append(f"The fastest run below an error of {bound:.0e} was {best.method} ({at}) with {best.seconds:.2f} s.")
    words.append(
        "With lambda_max below 8 this problem is barely stiff: explicit methods win here, and the steps of the adaptive "
        "explicit ones are set by stability, so that a tighter tolerance costs them little. Implicit methods take steps "
        "that explicit ones cannot, and pay for them in iterations; their turn comes with long times and uneven weights."
    )
    return [" ".join(words)]
