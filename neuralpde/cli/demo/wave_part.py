"""Part 1 as it is told: pictures, tables and words with the numbers of this run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ..output import RunFolder
from .part import Note, Part, Picture, Rows, Tick, between
from .style import save
from .wave import Crossing, Energies, WaveSetup, cross_sea, energy_drift
from .wave_pictures import animate, crossing_picture, energy_picture, travel_picture

_PLACE = (-124.0, 48.25)  # the middle of the Strait of Juan de Fuca, degrees


def wave(folder: RunFolder, tick: Tick, setup: WaveSetup | None = None) -> Part:
    """Run part 1 and write its files."""
    setup = setup or WaveSetup()
    c = cross_sea(setup, between(tick, 0.0, 0.2))
    tick(0.2, "pictures")
    save(crossing_picture(c), folder.file("wave.png"))
    save(travel_picture(c), folder.file("wave_travel.png"))
    animate(c, folder.file("wave.gif"))
    e = energy_drift(setup, between(tick, 0.5, 1.0))
    save(energy_picture(e, setup.dt), folder.file("wave_energy.png"))
    folder.write_csv("wave_arrival.csv", _arrivals(c))
    folder.write_csv("wave_energy.csv", e.rows)
    tick(1.0, "done")
    facts = _facts(c, e)
    return Part("wave", "A long wave crosses the real sea floor", _blocks(setup, c, e, facts), facts, _COMMANDS)


_COMMANDS = (
    (
        "the same wave for an hour, by a method and a step of your own, with an animation",
        "neuralpde solve sea:salish --pde wave --t_end 3600 --solver.method leapfrog --solver.dt 10 --animate",
    ),
)


def _arrivals(c: Crossing) -> list[dict[str, object]]:
    lonlat, depth = c.sea.node["lonlat"].tolist(), c.sea.node["depth"].tolist()
    times = zip(c.arrival.tolist(), c.travel.tolist(), strict=True)
    return [
        {"node": i, "longitude": lon, "latitude": lat, "depth_m": depth[i], "arrival_s": arrival, "travel_s": travel}
        for i, ((lon, lat), (arrival, travel)) in enumerate(zip(lonlat, times, strict=True))
    ]


def _facts(c: Crossing, e: Energies) -> dict[str, object]:
    node = c.nearest(*_PLACE)
    correlation, ratio = c.agreement()
    return {
        "nodes": c.sea.num_nodes,
        "edges": c.sea.num_edges // 2,
        "reached": int((c.arrival >= 0).sum()),
        "leapfrog_limit_s": c.limit,
        "place": {
            "longitude": float(c.sea.node["lonlat"][node, 0]),
            "latitude": float(c.sea.node["lonlat"][node, 1]),
            "depth_m": float(c.sea.node["depth"][node]),
            "arrival_min": float(c.arrival[node]) / 60,
            "travel_min": float(c.travel[node]) / 60,
        },
        "compared_nodes": int(c.compared.sum()),
        "correlation": correlation,
        "median_arrival_over_travel": ratio,
        "ratio_by_threshold": {f"{th:.1%}": c.with_threshold(th).agreement()[1] for th in (0.03, 0.01, 0.003)},
        "energy": e.rows,
    }


def _blocks(setup: WaveSetup, c: Crossing, e: Energies, facts: dict[str, object]) -> list[str | Note | Picture | Rows]:
    start = c.nearest(*setup.centre)
    depth = float(c.sea.node["depth"][start])
    minutes = setup.energy_t_end / 60
    return [
        "Equation: u'' + s u' = div(g h grad u), long waves of surface height u over the depth h. On the graph: "
        "u_i'' + s_i u_i' = (1 / a_i) sum over j of w_ij (u_j - u_i), with w_ij = g (h_i + h_j) / 2 x (face length / "
        "distance) and cell area a_i. Coasts reflect; a sponge s swallows what leaves through the open edges in the west "
        "and south.",
        f"The graph: {facts['nodes']:,} wet cells and {facts['edges']:,} faces of the depth map topobathy.npz that comes "
        f"with matplotlib (cells of 2 minutes of longitude; shallower than 5 m counts as land). At the start the surface "
        f"is at rest, with a bump of {setup.width / 1e3:g} km standard deviation over {depth:.0f} m of water. Leapfrog "
        f"steps of {setup.dt:g} s; its stability limit here is {c.limit:.1f} s, from the largest eigenvalue.",
        Picture(
            "wave.png",
            f"Above: minutes until |u| first exceeds {setup.threshold:.0%} of the bump's height; contours every 10 "
            f"minutes. Pale blue: not reached. At this resolution the passages to the Strait of Georgia are closed, so "
            f"{facts['nodes'] - facts['reached']:,} of the {facts['nodes']:,} cells stay calm (some of them in the sponge). "  # type: ignore[operator]
            "Below: the surface at six times.",
        ),
        Picture("wave.gif", f"The surface over {setup.t_end / 3600:g} hours."),
        _arrival_note(c, facts),
        Picture(
            "wave_travel.png",
            "Each dot is a cell: when the wave arrives, and the travel time by shortest paths (scipy's Dijkstra over 16 "
            "moves a cell; independent of the wave solver).",
        ),
        f"Energy: without the sponge H = 1/2 sum a u'^2 + 1/2 sum over faces w (u_i - u_j)^2 is constant. The same wave for "
        f"{minutes:g} minutes by {len(e.rows)} methods, all with dt = {setup.dt:g} s:",
        Picture(
            "wave_energy.png",
            "Left: energy over its initial value. Right: how far it is from 1. Both axes are logarithmic; explicit Euler "
            "leaves the picture.",
        ),
        Rows(
            f"Energy after {minutes:g} minutes (exact: 1), and what it cost. Drift: its mean over "
            "the last quarter less that over the second.",
            e.rows,
            {
                "method": "method",
                "final_ratio": "H(end) / H(0)",
                "largest_deviation": "largest |H/H(0)-1|",
                "drift": "drift",
                "steps": "steps",
                "evaluations": "evals",
                "linear_iterations": "linear its",
            },
            {"final_ratio": "{:.7g}", "largest_deviation": "{:.1e}", "drift": "{:+.1e}"},
        ),
        *_energy_words(e),
    ]


def _arrival_note(c: Crossing, facts: Mapping[str, object]) -> Note:
    node = c.nearest(*_PLACE)
    arrival, first = float(c.arrival[node]) / 60, float(c.travel[node]) / 60
    return Note(
        f"In the Strait of Juan de Fuca (48.25 N, 124.0 W) the wave arrives after {arrival:.1f} minutes. A point that "
        f"travels at sqrt(g h) along the fastest path from the edge of the bump needs {first:.1f} minutes. Over all "
        f"{facts['compared_nodes']:,} cells beyond the bump and outside the sponge that it reaches, arrival and "
        f"travel time correlate with {facts['correlation']:.4f}; the median of their ratio is "
        f"{facts['median_arrival_over_travel']:.2f}: how early a wave without a sharp edge is seen depends on the "
        f"threshold ({_ratios(facts)})."
    )


def _ratios(facts: Mapping[str, object]) -> str:
    ratios = cast("dict[str, float]", facts["ratio_by_threshold"])
    return ", ".join(f"{ratio:.2f} for {threshold}" for threshold, ratio in ratios.items())


def _energy_words(e: Energies) -> list[Note]:
    by = {str(row["method"]): row for row in e.rows}
    words = []
    if "leapfrog" in by:
        words.append(
            f"Leapfrog's energy stays within {by['leapfrog']['largest_deviation']:.1e} of its first value "
            f"(drift {by['leapfrog']['drift']:+.1e})"
        )
    if "euler" in by:
        words.append(f"explicit Euler multiplies it by {by['euler']['final_ratio']:.1e}")
    if "implicit_euler" in by:
        words.append(f"implicit Euler leaves {by['implicit_euler']['final_ratio']:.0%} of it")
    if "crank_nicolson" in by:
        words.append(
            f"Crank-Nicolson keeps it to the tolerance of its linear solves ({by['crank_nicolson']['largest_deviation']:.1e})"
        )
    return [Note("; ".join(words) + ".")] if words else []
