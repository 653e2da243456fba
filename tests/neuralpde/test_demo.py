"""The demo, part by part in small: what it says must be true, not only written."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from neuralpde import Graph
from neuralpde.cli import build_parser
from neuralpde.cli.demo import _one_thread, run
from neuralpde.cli.demo.depth import DepthSetup, Oscillators
from neuralpde.cli.demo.depth_part import depth
from neuralpde.cli.demo.heat import HeatSetup, smooth_terrain
from neuralpde.cli.demo.heat_part import heat
from neuralpde.cli.demo.learn import Fitted, LearnSetup, paired, summary
from neuralpde.cli.demo.learn_part import learned
from neuralpde.cli.demo.page import SNIPPET, write_page
from neuralpde.cli.demo.part import Part, Picture
from neuralpde.cli.demo.travel import travel_times
from neuralpde.cli.demo.wave import WaveSetup, bump, drift, first_time
from neuralpde.cli.demo.wave_part import wave
from neuralpde.cli.options import Demo
from neuralpde.cli.output import RunFolder
from neuralpde.datasets import salish_sea
from neuralpde.pdes import Diffusion
from solvers import Run


def _silent(share: float, note: str) -> None:
    assert 0 <= share <= 1, note


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with _one_thread():  # as the demo itself runs
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return RunFolder(tmp_path_factory.mktemp("demo"), "demo", Demo(), quiet=True)


@pytest.fixture(scope="module")
def parts(folder: RunFolder) -> dict[str, Part]:
    oscillators = (Oscillators("gcn", 0.0, 1.0), Oscillators("gat", 0.5, 0.1))
    made = [
        wave(folder, _silent, WaveSetup(t_end=3000.0, energy_t_end=600.0)),
        heat(folder, _silent, HeatSetup(crop=(30, 40))),
        depth(folder, _silent, DepthSetup(layers=24, width=16, oscillators=oscillators)),
        learned(folder, _silent, LearnSetup(seeds=2, epochs=40)),
    ]
    return {part.name: part for part in made}


def _open_sea(land: set[tuple[int, int]]) -> Graph:
    cell = torch.tensor([(r, c) for r in range(21) for c in range(21) if (r, c) not in land])
    lonlat = 0.01 * cell.flip(1).double()  # about 1.1 km apart, at the equator
    depth = torch.full((len(cell),), 1000.0, dtype=torch.float64)
    none = torch.zeros(2, 0, dtype=torch.int64)
    return Graph.from_edges(none, num_nodes=len(cell), node={"cell": cell, "lonlat": lonlat, "depth": depth})


def test_travel_time_over_even_depth_is_distance_over_speed() -> None:
    sea = _open_sea(set())
    source = torch.zeros(sea.num_nodes, dtype=torch.bool)
    source[10 * 21 + 10] = True
    away = sea.node["lonlat"] - sea.node["lonlat"][source]
    exact = 6_371_008.8 * torch.deg2rad(away.norm(dim=1)) / (9.81 * 1000.0) ** 0.5
    ratio = (travel_times(sea, source) / exact)[~source]
    assert float(ratio.min()) > 1 - 1e-5  # the patch is 0.2 degrees wide, where parallels are 6e-6 shorter
    assert float(ratio.max()) < 1.028  # 16 directions: at most 2.7 % too long


def test_travel_time_goes_around_land_and_not_into_a_pond() -> None:
    wall = {(r, 10) for r in range(18)}
    pond = {(r, c) for r in range(3, 8) for c in range(13, 18)} - {(5, 15)}
    sea = _open_sea(wall | pond)
    at = {tuple(c): i for i, c in enumerate(sea.node["cell"].tolist())}
    source = torch.zeros(sea.num_nodes, dtype=torch.bool)
    source[at[0, 8]] = True
    times = travel_times(sea, source)
    direct = 6_371_008.8 * np.radians(0.04) / (9.81 * 1000.0) ** 0.5
    assert float(times[at[0, 12]]) > 8 * direct
    assert torch.isinf(times[at[5, 15]])


def test_first_time_lies_between_the_saved_times() -> None:
    u = torch.tensor([[0.0, 0.5, 0.0], [0.2, 0.0, -0.01], [-0.4, 0.0, 0.05]], dtype=torch.float64)
    found = first_time(torch.tensor([0.0, 10.0, 20.0], dtype=torch.float64), u, 0.1)
    assert found[0] == 5.0
    assert found[1] == 0.0
    assert torch.isnan(found[2])


def test_drift_sees_a_trend_through_an_oscillation() -> None:
    t = torch.linspace(0, 1, 401, dtype=torch.float64)
    swing = 1 + 0.1 * torch.sin(2 * torch.pi * 40 * t)
    assert abs(drift(swing)) < 1e-3
    assert abs(drift(swing + t) - 0.5) < 2e-2


def test_bump_has_height_one_and_the_stated_width() -> None:
    sea = salish_sea()
    u = bump(sea, (-125.5, 48.3), 8e3)
    assert 0.95 < float(u.max()) <= 1
    volume = float((u.squeeze(1) * sea.node["area"]).sum())
    assert volume == pytest.approx(2 * np.pi * 8e3**2, rel=0.01)


def test_wave_arrives_when_a_long_wave_must(parts: dict[str, Part]) -> None:
    facts = parts["wave"].facts
    assert facts["nodes"] == 2880
    assert facts["correlation"] > 0.99  # type: ignore[operator]
    assert 0.9 < facts["median_arrival_over_travel"] < 1.2  # type: ignore[operator]
    place = facts["place"]
    assert isinstance(place, dict)
    assert place["travel_min"] < place["arrival_min"] < 1.25 * place["travel_min"]
    assert WaveSetup().dt < facts["leapfrog_limit_s"]  # type: ignore[operator]


def test_energy_by_method(parts: dict[str, Part]) -> None:
    rows = {row["method"]: row for row in parts["wave"].facts["energy"]}  # type: ignore[attr-defined]
    assert rows["leapfrog"]["largest_deviation"] < 5e-3
    assert abs(rows["leapfrog"]["drift"]) < rows["leapfrog"]["largest_deviation"] / 2
    assert rows["crank_nicolson"]["largest_deviation"] < 1e-6
    assert rows["euler"]["final_ratio"] > 1e6
    assert rows["implicit_euler"]["final_ratio"] < 0.9
    assert rows["implicit_euler"]["linear_iterations"] > 0


def test_heat_refuses_a_step_at_the_true_limit() -> None:
    s = smooth_terrain(HeatSetup(crop=(12, 15), t_end=1.0, runs=(Run("euler", dt=0.3), Run("rk4", dt=0.4))), _silent)
    largest = float(-np.linalg.eigvalsh(Diffusion().on(s.graph, s.before).operator.to_dense().numpy()).min())
    for row, limit in zip(s.comparison.rows, (2.0, 2.785293563405282), strict=True):
        assert row.status == "refused"
        named = re.search(r"dt <= ([0-9.]+)", row.note)
        assert named is not None
        assert float(named.group(1)) == pytest.approx(limit / largest, rel=1e-4)
    within = (Run("euler", dt=0.99 * 2 / largest), Run("rk4", dt=0.99 * 2.785 / largest))
    again = smooth_terrain(HeatSetup(crop=(12, 15), t_end=1.0, runs=within), _silent)
    assert [row.status for row in again.comparison.rows] == ["ok", "ok"]


def test_heat_by_at_least_ten_integrators(parts: dict[str, Part]) -> None:
    rows: list[dict[str, object]] = parts["heat"].facts["rows"]  # type: ignore[assignment]
    done = [row for row in rows if row["status"] == "ok"]
    assert len({row["method"] for row in done}) >= 13
    assert {row["method"] for row in rows if row["status"] == "refused"} == {"euler", "rk4", "ab2"}
    assert len(done) + 3 == len(rows)
    error = {(row["method"], row["dt"]): float(str(row["error"])) for row in done}
    assert all(e < 3e-3 for e in error.values())
    assert 3.5 < error["heun", 0.2] / error["heun", 0.1] < 4.6  # order 2
    assert 1.8 < error["euler", 0.2] / error["euler", 0.1] < 2.2  # order 1
    assert error["rk4", 0.3] / error["rk4", 0.15] > 12  # order 4


def test_heat_keeps_the_mean_and_the_maximum_principle() -> None:
    s = smooth_terrain(HeatSetup(crop=(30, 40), runs=(Run("rk4", dt=0.2),)), _silent)
    assert float(s.after.mean()) == pytest.approx(float(s.before.mean()), rel=1e-12)
    assert s.before.min() < s.after.min()
    assert s.after.max() < s.before.max()


def test_depth_shows_what_an_energy_alone_hides(parts: dict[str, Part]) -> None:
    found = {row["network"]: row for row in parts["depth"].facts["networks"]}  # type: ignore[attr-defined]
    gcn, wild = found["GCN"], found["GraphCON-GCN, alpha = 0, dt = 1"]
    for row in (gcn, wild):
        assert row["Rayleigh quotient, last"] < row["Rayleigh quotient, first"] / 3
        assert row["effective rank, last"] < row["effective rank, first"]
    assert gcn["Dirichlet energy, last"] < 1e-3 * gcn["Dirichlet energy, first"]
    assert wild["Dirichlet energy, last"] > 10 * wild["Dirichlet energy, first"]
    assert gcn["norm, first"] == wild["norm, first"]
    assert gcn["Dirichlet energy, first"] == wild["Dirichlet energy, first"]
    assert {row["laplacian"] for name, row in found.items() if "GAT" in name or "diffusion" in name} == {"rw"}


def test_learned_models_see_the_graph(parts: dict[str, Part]) -> None:
    runs: list[dict[str, object]] = parts["learn"].facts["runs"]  # type: ignore[assignment]
    fitted = [Fitted(**{k: v for k, v in row.items() if k != "split"}) for row in runs]  # type: ignore[arg-type]
    assert [f.seed for f in fitted] == [0] * 4 + [1] * 4
    rows = {str(row["model"]): row for row in summary(fitted)}
    assert 85 < rows["MLP"]["mean"] < 95  # type: ignore[operator]
    for name in ("GCN", "GRAND", "GraphCON"):
        gap, _ = paired(fitted, name, "MLP")
        assert gap > 2
        assert gap == pytest.approx(rows[name]["mean"] - rows["MLP"]["mean"])  # type: ignore[operator]


def test_page_is_complete_and_needs_nothing_else(parts: dict[str, Part], folder: RunFolder) -> None:
    page = write_page(folder, list(parts.values()), dict.fromkeys(parts, 1.0)).read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    pictures = [block.file for part in parts.values() for block in part.blocks if isinstance(block, Picture)]
    assert page.count("<img") == len(pictures) == 8
    assert all((folder.path / name).stat().st_size > 5_000 for name in pictures)
    assert (folder.path / "wave.gif").stat().st_size < 3_000_000
    for part in parts.values():
        assert part.title in page
        assert json.dumps(part.facts, default=str)


def test_what_the_page_recommends_works(parts: dict[str, Part], capsys: pytest.CaptureFixture[str]) -> None:
    for part in parts.values():
        for _, command in part.commands:
            words = [w for w in shlex.split(command) if not w.startswith("NEURALPDE_DATA=")]
            assert words[0] == "neuralpde"
            build_parser().parse_args(words[1:])
    exec(compile(SNIPPET, "snippet", "exec"), {})
    share = float(capsys.readouterr().out.split()[-1])
    assert 0.1 < share < 1  # the sponge takes energy and gives none


def test_run_writes_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralpde.cli.demo.LearnSetup", partial(LearnSetup, epochs=4))
    assert run(Demo(only=["learn"], seeds=1, out=str(tmp_path), json=True)) == 0
    printed = json.loads(capsys.readouterr().out)
    record = json.loads((tmp_path / "run.json").read_text())
    assert printed == record
    assert {"seed", "split", "val_accuracy", "test_accuracy"} <= set(record["runs"][0])
    assert len(record["runs"]) == 4
    assert record["part_seconds"].keys() == {"learn"}
    assert (tmp_path / "report.html").is_file()


def test_unknown_part_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wave"):
        run(Demo(only=["waev"], out=str(tmp_path)))
    with pytest.raises(ValueError, match="seeds"):
        run(Demo(seeds=0, out=str(tmp_path)))


def test_threads_are_set_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="inside"), _one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before
