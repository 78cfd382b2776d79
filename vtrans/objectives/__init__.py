"""What stages train: losses and the optimisers of their parameters."""
