"""Compress a fine-tuned classifier on a `datasets` data set: `python compress_on_a_dataset.py MODEL ROWS.csv OUT`."""

import sys

from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from vtrans import VTrans, compress, save_pruned

source, rows, out = sys.argv[1:]
model, tokenizer = AutoModelForSequenceClassification.from_pretrained(source), AutoTokenizer.from_pretrained(source)
data = load_dataset("csv", data_files=rows, split="train")
data = data.map(lambda row: tokenizer(row["text"], truncation=True, max_length=128))
small = compress(model, data, VTrans, sparsity=0.6)
save_pruned(small, out)
