"""The command line `vtrans-bench`. Commands import what they need when they run, so that it starts fast."""

import sys

from benchmark.cli import grid, models, reports  # which add their commands to `app`
from benchmark.cli.app import Listing, app, listing
from vtrans import ranks
from vtrans.errors import SuiteError

__all__ = ["Listing", "app", "end", "grid", "listing", "main", "models", "reports"]


def main() -> None:
    """Entry point: errors of the suite become one line and their exit code."""
    try:
        app()
    except SuiteError as error:
        end(error)
    except RuntimeError as error:
        if not ranks.is_lost(error):
            raise
        end(ranks.lost())


def end(error: SuiteError) -> None:
    """End with the error as one line; of several ranks, the first one writes it."""
    sys.stdout.flush()
    if ranks.launched_rank() == 0:
        sys.stderr.write(f"error: {error}\n")
    sys.exit(error.exit_code)
