"""Lines of results: whole or not at all, shared by processes, and none the worse for a kill."""

import json
import multiprocessing
import os
import signal
import time
import warnings

import pytest

from neuralpde.training.ledger import Ledger, _place, digest

FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None


def in_processes(count, target, *args):
    children = [FORK.Process(target=target, args=(i, *args)) for i in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0] * count


@pytest.mark.parametrize("on_disk", [True, False])
def test_computes_only_what_is_not_there(tmp_path, on_disk):
    done = []

    def job(name):
        done.append(name)
        return {"value": name}

    ledger = Ledger(tmp_path / "deep" / "runs.jsonl" if on_disk else None)
    todo = {name: (lambda name=name: job(name)) for name in "abc"}
    first = ledger.complete({k: todo[k] for k in "ab"}, on_row=lambda row: done.append(row["key"] + "!"))
    assert done == ["a", "a!", "b", "b!"] and [row["value"] for row in first] == ["a", "b"]
    again = Ledger(ledger.path) if on_disk else ledger
    assert [row["value"] for row in again.complete(todo)] == ["a", "b", "c"] and done[4:] == ["c"]
    assert len(again.rows()) == 3


def test_a_failure_keeps_what_came_before(tmp_path):
    ledger = Ledger(tmp_path / "runs.jsonl")

    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        ledger.complete({"a": lambda: {"value": 1}, "b": fail})
    assert [row["key"] for row in Ledger(tmp_path / "runs.jsonl").rows()] == ["a"]
    assert len(ledger.complete({"a": fail, "b": lambda: {"value": 2}})) == 2  # and the lock is free


def test_a_line_that_was_cut_off_is_left_out_and_run_again(tmp_path):
    path = tmp_path / "runs.jsonl"
    ledger = Ledger(path)
    ledger.append({"key": "a", "value": 1})
    with path.open("a") as file:
        file.write('{"key": "b", "val')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [row["key"] for row in Ledger(path).rows()] == ["a"]
    found = Ledger(path).complete({"a": lambda: {"value": 0}, "b": lambda: {"value": 2}})
    assert [row["value"] for row in found] == [1, 2]
    assert path.read_text().startswith('{"key": "a", "value": 1}\n{"key": "b", "val\n')
    with pytest.warns(UserWarning, match="is no row"):
        assert [row["key"] for row in Ledger(path).rows()] == ["a", "b"]


def test_what_json_does_not_know_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        Ledger(tmp_path / "runs.jsonl").append({"value": float("nan")})


def test_names_of_settings():
    assert digest({"a": 1, "b": [0.1, None]}) == digest({"b": (0.1, None), "a": 1}) != digest({"a": 1, "b": [0.2, None]})


def _append(number, path):
    ledger = Ledger(path)
    for i in range(50):
        ledger.append({"key": f"{number} {i}", "long": "x" * 5000})


@pytest.mark.skipif(FORK is None, reason="processes are started by fork here")
def test_writers_at_the_same_time_do_not_mix_their_lines(tmp_path):
    path = tmp_path / "runs.jsonl"
    in_processes(4, _append, path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(row["key"] for row in rows) == sorted(f"{n} {i}" for n in range(4) for i in range(50))


def _work(number, path):
    def job():
        time.sleep(0.005)
        return {"by": number}

    assert len(Ledger(path).complete({str(i): job for i in range(30)})) == 30


@pytest.mark.skipif(FORK is None, reason="processes are started by fork here")
def test_processes_share_the_work_and_none_does_it_twice(tmp_path):
    path = tmp_path / "runs.jsonl"
    in_processes(3, _work, path)
    rows = Ledger(path).rows()
    assert sorted(int(row["key"]) for row in rows) == list(range(30))
    assert len({row["by"] for row in rows}) > 1


def _hang(path, ready):
    def job():
        ready.set()
        time.sleep(60)

    Ledger(path).complete({"a": job})


@pytest.mark.skipif(FORK is None, reason="processes are started by fork here")
def test_what_a_killed_process_was_at_is_taken_over(tmp_path):
    path, ready = tmp_path / "runs.jsonl", FORK.Event()
    child = FORK.Process(target=_hang, args=(path, ready))
    child.start()
    assert ready.wait(20)
    ledger, busy = Ledger(path), []
    with ledger._held(_place("a"), wait=False) as mine:
        busy.append(mine)
    os.kill(child.pid, signal.SIGKILL)
    child.join(20)
    assert busy == [False]
    assert [row["value"] for row in ledger.complete({"a": lambda: {"value": 1}})] == [1]
