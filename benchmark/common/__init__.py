"""Files, digests, checkpoints and devices: what all rooms use."""
