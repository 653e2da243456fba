"""The command line: `neuralpde demo | solve | compare | train | repro | info`.

Only the parser is loaded here, so that `--help` and usage errors answer at once; a verb loads what it needs.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import fields

from jsonargparse import ArgumentParser, Namespace

from .options import FLAGS, VERBS

DONE, FAILED, WRONG_USE, DATA_MISSING, STOPPED = 0, 1, 2, 3, 130
"""Exit codes."""


def build_parser() -> ArgumentParser:
    """The parser of all verbs: one dataclass of options each (`options.py`)."""
    parser = ArgumentParser(prog="neuralpde", description="Differential equations on graphs: solve, compare, learn.")
    parser.add_argument("--version", action="version", version=_version())
    verbs = parser.add_subcommands(required=True, dest="verb", metavar="VERB")
    for name, verb in VERBS.items():
        sub = ArgumentParser(description=verb.help)
        sub.add_argument("--config", action="config", help="YAML file with any of these options.")
        for positional, kind, help_text, default in verb.positionals:
            if default is None:
                sub.add_argument(positional, type=kind, help=help_text)
            else:
                sub.add_argument(positional, type=kind, help=help_text, nargs="?", default=default)
        flags = {f.name for f in fields(verb.options) if f.type in (bool, "bool")}
        by_hand: set[str | int] = {*(p[0] for p in verb.positionals), *flags}
        sub.add_class_arguments(verb.options, None, skip=by_hand)
        for flag in sorted(flags):
            sub.add_argument(f"--{flag}", action="store_true", help=FLAGS[flag])
        verbs.add_subcommand(name, sub, help=verb.help)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 done, 1 the run failed, 2 wrong use, 3 data missing, 130 stopped.
    """
    parser = build_parser()
    given = parser.parse_args(argv)
    verb = given.verb
    options = parser.instantiate(given)[verb]
    try:
        return importlib.import_module(f"neuralpde.cli.{verb}").run(_as_options(verb, options))
    except KeyboardInterrupt:
        print("neuralpde: stopped", file=sys.stderr)
        return STOPPED
    except Exception as error:
        code = _exit_code(error)
        if code is None or os.environ.get("NEURALPDE_TRACEBACK"):
            raise
        print(f"neuralpde {verb}: {type(error).__name__}: {error}", file=sys.stderr)
        return code


def _as_options(verb: str, given: Namespace) -> object:
    values = {k: v for k, v in vars(given).items() if k not in ("config", "__path__")}
    return VERBS[verb].options(**values)


def _exit_code(error: Exception) -> int | None:
    """What an error of the library means to a shell; None for a defect of ours."""
    from solvers import IntegrationError

    from ..errors import DataMissing

    if isinstance(error, DataMissing):
        return DATA_MISSING
    if isinstance(error, IntegrationError):
        return FAILED
    if isinstance(error, ValueError | TypeError | FileNotFoundError | ImportError):
        return WRONG_USE
    return None


def _version() -> str:
    from .. import __version__

    return f"neuralpde {__version__}"
