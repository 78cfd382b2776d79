"""Printed cells that a source is held for. None of VTrans's own tables is: its abstract alone was to be had.

TVA-prune (Dutta, Gupta, Agarwal 2024, ES-FoMo workshop of ICML) is its authors' method for decoders, whose paper and
code (oshindutta/TVAprune) are public.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PrintedTable:
    """A table as it was printed.

    Attributes:
        title: what it shows, with its number in the paper.
        heads: of its columns.
        rows: its cells.
        remark: what does not recompute, or is not comparable.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remark: str = ""


LEGEND = (
    "TVA-prune's tables: 50 % of what is not embeddings is removed unless a remark says "
    "otherwise. † after LoRA: TVA-prune's own row on WikiText-2's train split, the others' reportedly on C4. ‡ adds "
    "biases. Times are its authors', on an A100 of 40 GB."
)
_PERPLEXITY = ("method", "LLaMA-7B", "speed-up", "minutes", "LLaMA-2-7B", "speed-up", "minutes")
TVA = (
    PrintedTable(
        "TVA-prune, table 1: perplexity of WikiText-2",
        _PERPLEXITY,
        (
            ("dense", "5.68", "1×", "0.60", "5.11", "1×", "0.62"),
            ("Wanda-sp", "366.43", "1.24×", "0.48", "97.70", "1.29×", "0.48"),
            ("LLM-Pruner", "112.44", "1.23×", "0.49", "95.26", "1.29×", "0.48"),
            ("FLAP ‡", "35.10", "1.26×", "0.48", "25.40", "1.32×", "0.47"),
            ("Bonsai", "22.62", "1.26×", "0.48", "19.24", "1.28×", "0.48"),
            ("TVA-prune", "18.5", "1.75×", "0.34", "14.15", "1.8×", "0.34"),
            ("TVA-prune, widths not rounded", "18.5", "1.1×", "0.54", "14.15", "1.1×", "0.56"),
            ("Wanda-sp †", "67.24", "1.24×", "0.48", "46.54", "1.29×", "0.48"),
            ("LLM-Pruner †", "38.12", "1.23×", "0.49", "29.56", "1.29×", "0.48"),
            ("Bonsai †", "10.92", "1.26×", "0.48", "9.15", "1.28×", "0.48"),
            ("TVA-prune †", "10.58", "1.75×", "0.34", "9.58", "1.8×", "0.34"),
        ),
        "a later README calls the rows those of about 20 %; tables 4 and 5 and the scripts say 50 %",
    ),
    PrintedTable(
        "TVA-prune, table 2: perplexity of WikiText-2, models with grouped keys and values",
        ("method", "Mistral-7B", "speed-up", "tokens/s", "LLaMA-3-8B", "speed-up", "tokens/s"),
        (
            ("dense", "4.77", "1×", "24.78", "5.57", "1×", "25.13"),
            ("Wanda-sp-gq", "116", "1.1×", "27.26", "106", "1.1×", "27.64"),
            ("FLAP-gq", "34.97", "1.28×", "31.73", "34.90", "1.2×", "30.16"),
            ("TVA-prune", "18.37", "1.67×", "41.39", "27.50", "1.61×", "40.94"),
            ("TVA-prune †", "10.12", "1.67×", "41.39", "–", "–", "–"),
        ),
    ),
    PrintedTable(
        "TVA-prune, table 3: widths rounded to multiples of 0, 8, 64, 128, 256",
        ("model", "speed-up", "change of perplexity", "change of sparsity, %"),
        (
            ("LLaMA-3-8B", "0.9, 1.45, 1.60, 1.59, 1.59", "0, 0, 0, −0.1, −0.2", "0, 0, 0.2, 0.4, 0.3"),
            ("Mistral-7B", "1.1, 1.48, 1.52, 1.67, 1.40", "−0.5, 0, −0.5, −0.2, 2.3", "0, 0, 0.3, 0.6, 0.8"),
            ("LLaMA-2-7B", "1.25, 1.52, 1.75, 1.82, 1.75", "0, 0, 0, −0.05, −1.8", "0, 0, 0.2, 0.2, 0.6"),
        ),
    ),
    PrintedTable(
        "TVA-prune, table 4: LLaMA-7B, zero-shot tasks",
        ("method", "WikiText-2", "BoolQ", "PIQA", "HellaSwag", "WinoGrande", "ARC-e", "ARC-c", "mean", "hours"),
        (
            ("dense", "5.68", "76.5", "79.8", "76.1", "70.1", "72.8", "47.6", "70.48", "–"),
            ("Wanda-sp", "132", "50.58", "55.01", "29.56", "51.78", "31.27", "23.04", "40.21", "0.16"),
            ("LLM-Pruner †", "16.41", "60.28", "69.31", "47.06", "53.43", "45.96", "29.18", "45.95", "1"),
            ("FLAP ‡", "31.8", "60.21", "67.52", "40.0", "57.54", "49.66", "28.49", "50.57", "0.3"),
            ("LoRAPrune †", "11.60", "61.88", "71.53", "47.86", "55.01", "45.13", "31.62", "52.17", ">24"),
            ("Bonsai †", "10.92", "67.22", "60.85", "43.09", "61.64", "54.92", "26.28", "52.33", "40"),
            ("TVA-prune †", "10.58", "63.27", "68.56", "42.0", "57.38", "56.97", "26.46", "52.44", "2"),
        ),
        "the mean of LLM-Pruner's six scores is 50.87; perplexities of Wanda-sp, FLAP and LLM-Pruner are not those of "
        "table 1; hours leave fine-tuning out",
    ),
    PrintedTable(
        "TVA-prune, table 5: LLaMA-2-7B",
        ("method", "GPUs", "GPU-hours", "perplexity"),
        (
            ("LLM-Pruner", "4", "1", "29.56"),
            ("FLAP", "1", "0.7", "25.40"),
            ("Bonsai", "1", "40", "9.15"),
            ("TVA-prune", "1", "2", "9.58"),
        ),
    ),
)
COFI = PrintedTable(
    "CoFi's released checkpoints of BERT-base (README of princeton-nlp/CoFiPruning; V100, batch 128)",
    ("task", "sparsity", "speed-up", "score", "sparsity", "speed-up", "score"),
    (
        ("MNLI", "60.2 %", "2.1×", "85.3", "94.3 %", "12.1×", "80.6"),
        ("QNLI", "60.3 %", "2.1×", "91.8", "94.5 %", "12.1×", "86.1"),
        ("SST-2", "60.1 %", "2.1×", "93.0", "94.5 %", "12.2×", "90.4"),
        ("RTE", "60.2 %", "2.0×", "72.6", "96.2 %", "12.8×", "66.1"),
        ("CoLA", "60.4 %", "2.0×", "60.4", "95.1 %", "12.3×", "38.9"),
        ("MRPC", "61.5 %", "2.0×", "86.8", "94.9 %", "12.2×", "83.6"),
        ("SQuAD, F1", "59.8 %", "2.0×", "89.1", "92.4 %", "8.7×", "82.6"),
    ),
)
