"""Models outside PyTorch: exported graphs, quantised or not, and what runs them."""
