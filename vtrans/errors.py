"""Errors a user can act on: each says what is wrong and what to do about it."""


class SuiteError(Exception):
    """Bad input. Printed as one line, `cause; remedy`, with exit code 2."""

    exit_code = 2

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.parts = (cause, remedy)


class RunFailed(SuiteError):
    """A run that started and could not end, a non-finite loss for one. Exit code 1."""

    exit_code = 1


class RunCancelled(SuiteError):
    """A run stopped by Ctrl-C after its checkpoint was written. Exit code 130."""

    exit_code = 130


def extra(name: str) -> str:
    """The remedy for a package that one of the project's extras installs."""
    return f'run `pip install -c constraints.txt -e ".[{name}]"` in the repository'


def did_you_mean(kind: str, name: str, known: list[str]) -> SuiteError:
    """Build the error for an unknown `kind` called `name`, with the closest known name as a guess."""
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), [k.lower() for k in known], n=1, cutoff=0.5)
    guess = next((k for k in known if close and k.lower() == close[0]), None)
    hint = f"did you mean {guess!r}? " if guess else ""
    return SuiteError(f"unknown {kind} {name!r}", f"{hint}known: {', '.join(known)}")
