"""The tasks: which columns they read, what their labels mean, what is measured, where their rows are. No torch."""

from dataclasses import dataclass
from typing import Any

from benchmark.tasks.metrics import METRICS
from benchmark.tasks.sources import Hub, Reviews, Source
from vtrans.errors import SuiteError, did_you_mean

SST2_LENGTH, PAIR_LENGTH, LONG_LENGTH = 64, 128, 256  # fixed padding of PoWER-BERT and Infor-Coef (appendix B)
ANSWER_LENGTH = 384  # of run_squad


@dataclass(frozen=True)
class Task:
    """One task: its declaration is all that there is to it.

    Attributes:
        name: in commands, folders and records.
        source: where its rows come from.
        metrics: all that the benchmark defines; the first one is the headline. Names as in `METRICS`.
        kind: what it is, a name in `benchmark.tasks.kind.KINDS`.
        texts: columns of the text or texts, of classification.
        labels: names of the classes in the order of their ids; empty for a score.
        fixed_length: tokens that `sequence` padding pads to; 0 for the preset's longest.
        train, validation: names of the splits.
        train_else: the split that is trained on where the source has no `train`.
        also: name of a second validation split, evaluated where the source has it (MNLI's mismatched genres).
        folder: its folder in that of `--data-dir`, where it is not its name.
        anchor: texts and label of a row of the official data, which tells whether labels are in order.
        caveat: what has to be said beside a number.
        joiner: of running text: what stands between its rows.
        abstains: of question answering: whether some questions have no answer.
        top_score: of a score's scale, which starts at 0; 0 where the scale is not known.
        train_rows, evaluation_rows: size of the official splits, for estimates before data are loaded; of a text its
            words.
        mean_tokens: of a sequence under BERT's tokenizer, likewise; of a text it is the context.
    """

    name: str
    source: Source
    metrics: tuple[str, ...]
    kind: str = "classification"
    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    fixed_length: int = 0
    train: str = "train"
    validation: str = "validation"
    train_else: str = ""
    also: str = ""
    folder: str = ""
    anchor: tuple[tuple[str, ...], float] | None = None
    caveat: str = ""
    joiner: str = ""
    abstains: bool = False
    top_score: float = 0.0
    train_rows: int = 0
    evaluation_rows: int = 0
    mean_tokens: float = 0.0

    def __post_init__(self) -> None:
        unknown = [name for name in self.metrics if name not in METRICS]
        if unknown or not self.metrics:
            raise SuiteError(f"task {self.name} has the metrics {unknown}", "name one in benchmark/tasks/metrics.py")

    @property
    def regression(self) -> bool:
        """Whether the labels are scores."""
        return not self.labels and self.kind == "classification"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names under which metrics stand in records and tables, those of the second split included."""
        return self.metrics + tuple(also_name(name) for name in self.metrics if self.also)

    @property
    def outputs(self) -> int:
        """Logits of a model for this task."""
        return max(1, len(self.labels))


_WIKITEXT = ("Salesforce/wikitext", "b08601e04326c79dfdd32d625aee71d232d685c3")
_IMDB = Reviews("imdb", "IMDB", running=True, reported=200)


def _glue(name: str, texts: tuple[str, ...], labels: tuple[str, ...], metrics: tuple[str, ...], **more: Any) -> Task:
    source = Hub("nyu-mll/glue", "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c", name)
    return Task(name, source, metrics, texts=texts, labels=labels, **more)


def _text(name: str, source: Source, caveat: str, **more: Any) -> Task:
    return Task(name, source, ("perplexity", "bits_per_byte"), "causal_lm", validation="test", caveat=caveat, **more)


def _masked(name: str, source: Source, caveat: str, **more: Any) -> Task:
    metrics = ("masked_accuracy", "masked_perplexity")
    return Task(f"{name}-masked", source, metrics, "masked_lm", validation="test", caveat=caveat, **more)


def _questions(name: str, revision: str, **more: Any) -> Task:
    source = Hub(f"rajpurkar/{name}", revision)
    return Task(name, source, ("exact_match", "f1"), "question_answering", fixed_length=ANSWER_LENGTH, **more)


_PAIR = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")
_WNLI = ("The drain is clogged with hair. It has to be cleaned.", "The hair has to be cleaned.")

_GLUE = (
    _glue(
        "cola",
        ("sentence",),
        ("unacceptable", "acceptable"),
        ("matthews_correlation", "accuracy"),
        fixed_length=SST2_LENGTH,
        anchor=(("The sailors rode the breeze clear of the rocks.",), 1),
        train_rows=8_551,
        evaluation_rows=1_043,
        mean_tokens=11.6,
    ),
    _glue(
        "sst2",
        ("sentence",),
        ("negative", "positive"),
        ("accuracy",),
        fixed_length=SST2_LENGTH,
        anchor=(("unflinchingly bleak and desperate ",), 0),
        train_rows=67_349,
        evaluation_rows=872,
        mean_tokens=13.3,
    ),
    _glue(
        "mrpc",
        _PAIR,
        ("not_equivalent", "equivalent"),
        ("accuracy", "f1"),
        fixed_length=PAIR_LENGTH,
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
    _glue(
        "stsb",
        _PAIR,
        (),
        ("pearson", "spearman"),
        top_score=5,
        fixed_length=SST2_LENGTH,
        train_rows=5_749,
        evaluation_rows=1_500,
        mean_tokens=30.8,
    ),
    _glue(
        "qqp",
        ("question1", "question2"),
        ("not_duplicate", "duplicate"),
        ("accuracy", "f1"),
        fixed_length=PAIR_LENGTH,
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
    _glue(
        "mnli",
        ("premise", "hypothesis"),
        ("entailment", "neutral", "contradiction"),
        ("accuracy",),
        fixed_length=PAIR_LENGTH,
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
    _glue(
        "qnli",
        ("question", "sentence"),
        _ENTAILMENT,
        ("accuracy",),
        fixed_length=PAIR_LENGTH,
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
    _glue(
        "rte",
        _PAIR,
        _ENTAILMENT,
        ("accuracy",),
        fixed_length=LONG_LENGTH,
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
    _glue(
        "wnli",
        _PAIR,
        ("not_entailment", "entailment"),
        ("accuracy",),
        fixed_length=PAIR_LENGTH,
        anchor=(_WNLI, 0),
        train_rows=635,
        evaluation_rows=71,
        mean_tokens=37.1,
    ),
)
_OTHERS = (
    Task(
        "rotten_tomatoes",
        Reviews("rotten_tomatoes", "Rotten Tomatoes"),
        ("accuracy",),
        texts=("text",),
        labels=("negative", "positive"),
        fixed_length=SST2_LENGTH,
        caveat="own split by hash of the text; most of SST-2's validation sentences are among its rows",
        train_rows=7_676,
        evaluation_rows=854,
        mean_tokens=27.4,
    ),
    _text(
        "wikitext2",
        Hub(*_WIKITEXT, "wikitext-2-v1"),
        "perplexity of the test split, tokenised text as it is",
        folder="wikitext-2",
        train_rows=2_088_628,
        evaluation_rows=245_569,
    ),
    _text(
        "wikitext103",
        Hub(*_WIKITEXT, "wikitext-103-v1"),
        "perplexity of the test split, tokenised text as it is",
        folder="wikitext-103",
        train_rows=103_227_021,
        evaluation_rows=245_569,
    ),
    _text(
        "wikitext2-raw",
        Hub(*_WIKITEXT, "wikitext-2-raw-v1"),
        "perplexity of the test split, rows joined by two line breaks",
        train_else="validation",
        joiner="\n\n",
        folder="wikitext-2-raw",
        train_rows=2_088_628,
        evaluation_rows=245_569,
    ),
    _questions(
        "squad",
        "7b6d24c440a36b6815f21b70d25016731768db1f",
        train_rows=87_599,
        evaluation_rows=10_570,
        mean_tokens=152.0,
    ),
    _questions(
        "squad_v2",
        "3ffb306f725f7d2ce8394bc1873b24868140c412",
        abstains=True,
        train_rows=130_319,
        evaluation_rows=11_873,
        mean_tokens=152.0,
    ),
    _text(
        "imdb",
        _IMDB,
        "own split by hash of the text",
        joiner="\n\n",
        train_rows=6_900_000,
        evaluation_rows=61_000,
    ),
    _masked(
        "imdb",
        _IMDB,
        "own split by hash of the text; 15 % of the tokens masked",
        joiner="\n\n",
        train_rows=6_900_000,
        evaluation_rows=61_000,
    ),
    _masked(
        "wikitext103",
        Hub(*_WIKITEXT, "wikitext-103-v1"),
        "the test split, 15 % of its tokens masked",
        folder="wikitext-103",
        train_rows=103_227_021,
        evaluation_rows=245_569,
    ),
)
TASKS = {task.name: task for task in (*_GLUE, *_OTHERS)}
GLUE = tuple(task.name for task in _GLUE)


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
