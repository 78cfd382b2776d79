"""The tasks: which columns they read, what their labels mean, what is measured. No torch, no data."""

from dataclasses import dataclass
from typing import Any

from vtrans.errors import did_you_mean

SST2_LENGTH, PAIR_LENGTH, LONG_LENGTH = 64, 128, 256  # fixed padding of PoWER-BERT and Infor-Coef (appendix B)
ANSWER_LENGTH = 384  # of run_squad


@dataclass(frozen=True)
class Task:
    """One task: classification or regression on one or two texts, or of another kind.

    Attributes:
        name: name in commands, folders and records.
        texts: columns of the text or texts.
        labels: names of the classes in the order of their ids; empty for a score.
        metrics: all that the benchmark defines; the first one is the headline.
        fixed_length: tokens that `sequence` padding pads to.
        validation: name of the validation split.
        also: name of a second validation split, evaluated where the source has it (MNLI's mismatched genres).
        anchor: texts and label of a row of the official data, which tells whether labels are in order.
        caveat: what has to be said beside a number.
        kind: module of `benchmark.kinds` that knows its data, head and metrics.
        unit: what its evaluation counts.
        packaged: whether a Python package ships its data, so that neither hub nor folder is asked.
        train: name of the training split.
        joiner: of language modelling: what stands between the rows of the text.
        abstains: of question answering: whether some questions have no answer.
        train_rows, evaluation_rows: size of the official splits, for estimates before data are loaded; of a text its
            words.
        mean_tokens: of a sequence under BERT's tokenizer, likewise; of a text it is the context.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    fixed_length: int
    validation: str = "validation"
    also: str = ""
    anchor: tuple[tuple[str, ...], float] | None = None
    caveat: str = ""
    kind: str = "classification"
    unit: str = "rows"
    packaged: bool = False
    train: str = "train"
    joiner: str = ""
    abstains: bool = False
    train_rows: int = 0
    evaluation_rows: int = 0
    mean_tokens: float = 0.0

    @property
    def regression(self) -> bool:
        """Whether the labels are scores."""
        return not self.labels and self.kind == "classification"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names under which metrics stand in records and tables, those of the second split included."""
        return self.metrics + tuple(also_name(name) for name in self.metrics if self.also)

    @property
    def running_text(self) -> bool:
        """Whether the data are windows of one length, cut from a text."""
        return self.kind in ("language", "masked")

    @property
    def corpus(self) -> str:
        """Name of the text, which tasks of two kinds may share."""
        return self.name.removesuffix("-masked")

    @property
    def outputs(self) -> int:
        """Logits of a model for this task."""
        return max(1, len(self.labels))


def _text(name: str, caveat: str, **more: Any) -> Task:
    metrics = ("perplexity", "bits_per_byte")
    return Task(name, (), (), metrics, 0, "test", caveat=caveat, kind="language", unit="tokens", **more)


def _masked(name: str, caveat: str, **more: Any) -> Task:
    metrics = ("masked_accuracy", "masked_perplexity")
    return Task(f"{name}-masked", (), (), metrics, 0, "test", caveat=caveat, kind="masked", unit="masked words", **more)


def _questions(name: str, **more: Any) -> Task:
    return Task(name, (), (), ("exact_match", "f1"), ANSWER_LENGTH, kind="answers", unit="questions", **more)


_PAIR = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")
_WNLI = ("The drain is clogged with hair. It has to be cleaned.", "The hair has to be cleaned.")

_TASKS = (
    Task(
        "cola",
        ("sentence",),
        ("unacceptable", "acceptable"),
        ("matthews_correlation", "accuracy"),
        SST2_LENGTH,
        anchor=(("The sailors rode the breeze clear of the rocks.",), 1),
        train_rows=8_551,
        evaluation_rows=1_043,
        mean_tokens=11.6,
    ),
    Task(
        "sst2",
        ("sentence",),
        ("negative", "positive"),
        ("accuracy",),
        SST2_LENGTH,
        anchor=(("unflinchingly bleak and desperate ",), 0),
        train_rows=67_349,
        evaluation_rows=872,
        mean_tokens=13.3,
    ),
    Task(
        "mrpc",
        _PAIR,
        ("not_equivalent", "equivalent"),
        ("accuracy", "f1"),
        PAIR_LENGTH,
        anchor=(
            (
                "He said the foodservice pie business doesn 't fit the company 's long-term growth strategy .",
                '" The foodservice pie business does not fit our long-term growth strategy .',
            ),
            1,
        ),
        train_rows=3_668,
        evaluation_rows=408,
        mean_tokens=53.2,
    ),
    Task(
        "stsb",
        _PAIR,
        (),
        ("pearson", "spearman"),
        SST2_LENGTH,
        train_rows=5_749,
        evaluation_rows=1_500,
        mean_tokens=30.8,
    ),
    Task(
        "qqp",
        ("question1", "question2"),
        ("not_duplicate", "duplicate"),
        ("accuracy", "f1"),
        PAIR_LENGTH,
        anchor=(
            (
                "Who is the stupidest character in Game of Thrones?",
                "Who is the most misunderstood character in Game of Thrones?",
            ),
            0,
        ),
        train_rows=363_846,
        evaluation_rows=40_430,
        mean_tokens=31.0,
    ),
    Task(
        "mnli",
        ("premise", "hypothesis"),
        ("entailment", "neutral", "contradiction"),
        ("accuracy",),
        PAIR_LENGTH,
        validation="validation_matched",
        also="validation_mismatched",
        anchor=(
            (
                "uh-huh how old how old are your kids",
                "I do not care how old your kids are.  ",
            ),
            2,
        ),
        train_rows=392_702,
        evaluation_rows=9_815,
        mean_tokens=40.0,
    ),
    Task(
        "qnli",
        ("question", "sentence"),
        _ENTAILMENT,
        ("accuracy",),
        PAIR_LENGTH,
        anchor=(
            (
                "What came into force after the new constitution was herald?",
                "As of that day, the new constitution heralding the Second Republic came into force.",
            ),
            0,
        ),
        train_rows=104_743,
        evaluation_rows=5_463,
        mean_tokens=49.6,
    ),
    Task(
        "rte",
        _PAIR,
        _ENTAILMENT,
        ("accuracy",),
        LONG_LENGTH,
        anchor=(
            (
                "Dana Reeve, the widow of the actor Christopher Reeve, has died of lung cancer at age 44, "
                "according to the Christopher Reeve Foundation.",
                "Christopher Reeve had an accident.",
            ),
            1,
        ),
        train_rows=2_490,
        evaluation_rows=277,
        mean_tokens=66.6,
    ),
    Task(
        "wnli",
        _PAIR,
        ("not_entailment", "entailment"),
        ("accuracy",),
        PAIR_LENGTH,
        anchor=(_WNLI, 0),
        train_rows=635,
        evaluation_rows=71,
        mean_tokens=37.1,
    ),
    Task(
        "rotten_tomatoes",
        ("text",),
        ("negative", "positive"),
        ("accuracy",),
        SST2_LENGTH,
        caveat="own split by hash of the text; most of SST-2's validation sentences are among its rows",
        packaged=True,
        train_rows=7_677,
        evaluation_rows=853,
        mean_tokens=27.4,
    ),
    _text(
        "wikitext2",
        "perplexity of the test split, tokenised text as it is",
        train_rows=2_088_628,
        evaluation_rows=245_569,
    ),
    _text(
        "wikitext103",
        "perplexity of the test split, tokenised text as it is",
        train_rows=103_227_021,
        evaluation_rows=245_569,
    ),
    _text(
        "wikitext2-raw",
        'perplexity of the test split, rows joined by two line breaks; "train" is the validation split',
        train="validation",
        joiner="\n\n",
        train_rows=217_646,
        evaluation_rows=245_569,
    ),
    _questions("squad", train_rows=87_599, evaluation_rows=10_570, mean_tokens=152.0),
    _questions("squad_v2", abstains=True, train_rows=130_319, evaluation_rows=11_873, mean_tokens=152.0),
    _text(
        "imdb",
        "own split by hash of the text",
        packaged=True,
        joiner="\n\n",
        train_rows=6_900_000,
        evaluation_rows=61_000,
    ),
    _masked(
        "imdb",
        "own split by hash of the text; 15 % of the tokens masked",
        packaged=True,
        joiner="\n\n",
        train_rows=6_900_000,
        evaluation_rows=61_000,
    ),
    _masked(
        "wikitext103",
        "the test split, 15 % of its tokens masked",
        train_rows=103_227_021,
        evaluation_rows=245_569,
    ),
)
TASKS = {task.name: task for task in _TASKS}
GLUE = tuple(task.name for task in _TASKS if task.kind == "classification" and not task.packaged)


def also_name(metric: str) -> str:
    """Name of a metric on the second validation split."""
    return f"{metric}_mismatched"


def get_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        SuiteError: there is none.
    """
    if name not in TASKS:
        raise did_you_mean("task", name, list(TASKS))
    return TASKS[name]
