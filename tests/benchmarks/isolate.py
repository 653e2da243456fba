"""Work in a process of its own, forked so that what is loaded here is loaded there."""

from __future__ import annotations

import gc
import multiprocessing
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from time import monotonic
from typing import TypeVar

T = TypeVar("T")
_FORK = multiprocessing.get_context("fork")  # the suite is for Linux and macOS


def isolated(work: Callable[[], T]) -> T:
    """The result of `work()`, run in a child."""
    (found,) = streamed(lambda: [work()], patience=600.0)
    return found


def streamed(work: Callable[[], Iterable[T]], patience: float) -> Iterator[T]:
    """What `work()` yields in a child, as it comes.

    Raises:
        RuntimeError: the child failed; with its traceback.
        TimeoutError: it took longer than `patience` seconds, and was ended.
    """
    here, there = _FORK.Pipe(duplex=False)
    child = _FORK.Process(target=_serve, args=(work, there))
    child.start()
    there.close()
    end = monotonic() + patience
    try:
        while True:
            if not here.poll(max(0.0, end - monotonic())):
                raise TimeoutError(f"ended after {patience:.0f} s")
            try:
                kind, payload = here.recv()
            except EOFError:
                child.join()
                raise RuntimeError(f"the process ended with exit status {child.exitcode}") from None
            if kind == "done":
                return
            if kind == "failed":
                raise RuntimeError(payload)
            yield payload
    finally:
        if child.is_alive() and monotonic() >= end:
            child.terminate()
        child.join()
        here.close()


def _serve(work: Callable[[], Iterable[object]], pipe: Connection) -> None:
    gc.freeze()  # what is loaded stays: collections between rounds need not look at it
    try:
        for item in work():
            pipe.send(("item", item))
        pipe.send(("done", None))
    except Exception:
        pipe.send(("failed", traceback.format_exc()))
