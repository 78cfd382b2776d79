"""Files of pruned models: written, read, and cut layer by layer."""
