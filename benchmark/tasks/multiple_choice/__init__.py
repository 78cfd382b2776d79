"""Zero-shot multiple choice for language models."""
