"""Cells printed in the Infor-Coef paper (Tan 2023, arXiv 2305.12458), to stand beside measured ones, and what is
known to be wrong with them."""

from dataclasses import dataclass

TASKS = {"mrpc": "f1", "qnli": "accuracy", "sst2": "accuracy", "mnli": "accuracy"}  # of its tables, in their order
BERT_BASE = "BERT-base"


@dataclass(frozen=True)
class Printed:
    """One printed row.

    Attributes:
        label: its name in the paper.
        row: the suite's row that stands for it; empty where it runs none.
        padding: regime of its speed-up; empty where the paper names none.
        params: printed share of the encoder's parameters, percent; None where there is none.
        speedup: printed FLOPs speed-up.
        scores: printed scores in the order of `TASKS`.
        marks: footnotes, by their letters.
    """

    label: str
    row: str
    padding: str = ""
    params: float | None = None
    speedup: float | None = None
    scores: tuple[float, ...] = ()
    marks: str = ""


TABLE_2 = (
    Printed("dense", "dense", "", 100, 1.0, (90.5, 91.7, 93.1, 84.4)),
    Printed("CoFi-s60", "CoFi-s60", "", 40, 2.0, (90.5, 91.8, 93.0, 85.3), "c"),
    Printed("CoFi-s95", "CoFi-s95", "", 5, 8.2, (85.6, 86.1, 90.4, 80.0), "cd"),
    Printed("PoWER-BERT", "PoWER-BERT", "sequence", 100, 2.5, (88.1, 90.1, 92.1, 83.8), "a"),
    Printed("Transkimmer", "Transkimmer", "batch", 100, 2.3, (89.1, 90.5, 91.1, 83.2), "f"),
    Printed("CoFi-s80", "CoFi-s80", "", 20, 3.9, (88.6, 90.1, 92.5, 83.9), "c"),
    Printed("Infor-Coef-4x", "Infor-Coef-4x", "batch", 40, 4.2, (90.5, 90.6, 91.2, 84.5), "e"),
    Printed("Infor-Coef-4x", "Infor-Coef-4x", "sequence", 40, 5.0, (90.5, 90.6, 91.2, 84.5), "e"),
    Printed("TinyBERT4", "", "", 13, 18.0, (81.4, 86.7, 89.7, 78.8), "be"),
    Printed("TinyBERT4 w/o GD", "TinyBERT-style", "", 13, 18.0, (68.9, 81.8, 87.7, 78.7), "be"),
    Printed("Infor-Coef-16x", "Infor-Coef-16x", "batch", 5, 16.2, (85.6, 85.3, 90.1, 79.1), "e"),
    Printed("Infor-Coef-16x", "Infor-Coef-16x", "sequence", 5, 18.0, (85.6, 85.3, 90.1, 79.1), "e"),
    Printed("VTrans+Infor-Coef", "VTrans+Infor-Coef", "batch"),
    Printed("VTrans+Infor-Coef", "VTrans+Infor-Coef", "sequence"),
)

TABLE_3 = (
    Printed("Infor-Coef-4x", "Infor-Coef-4x", "batch", None, 4.2, (90.6, 90.6, 91.2, 84.5), "g"),
    Printed("− L_entropy", "CoFi-s60+Infor-Coef-no-entropy", "batch", None, 4.0, (89.6, 89.6, 90.3, 84.1)),
    Printed("− L_norm", "CoFi-s60+Infor-Coef-no-norm", "batch", None, 2.2, (90.5, 91.8, 92.8, 84.6)),
)

FOOTNOTES = {
    "a": "scores of the GLUE test set, from the PoWER-BERT repository's README, in a table of the development set; "
    "2.5× is close to the mean of its wall-clock speed-ups, not of FLOPs",
    "b": "the MRPC cells equal accuracies, not F1: always answering yes gives an F1 of 81.2",
    "c": "at 51 tokens the MACs of a model with so many parameters left give 2.5× (s60), 5.1× (s80) and 18 to 20× "
    "(s95); the printed values fit such a model with twelve idle samplers added",
    "d": "the CoFi paper gives 80.6 for MNLI",
    "e": "parameters by mixed conventions: 40 % and 5 % leave out the samplers (7.1 M with those of Infor-Coef-16x: "
    "13.4 %), the 13 % of TinyBERT4 counts embeddings",
    "g": "MRPC is 90.5 in the paper's table 2; the caption gives 4.3×",
    "f": "from a model whose attention is not renormalised after skimming, which its authors call a bug",
}
