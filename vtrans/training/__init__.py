"""The training loop: precision, engines, checkpoints."""
