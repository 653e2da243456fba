"""The package's own exceptions: each is a `NeuralPDEError` and also the built-in that fits."""

from __future__ import annotations


class NeuralPDEError(Exception):
    """Whatever this package raises on purpose; catch it to catch them all."""


class GraphError(NeuralPDEError, ValueError):
    """A graph that cannot be: wrong shape, type, range or weights; the message says which and what to do."""


class DataMissing(NeuralPDEError, FileNotFoundError):
    """Files of a dataset are not there; the message names the folder, the files and what works offline."""


class CheckpointError(NeuralPDEError, ValueError):
    """A checkpoint that does not fit the model, or that cannot be read."""
