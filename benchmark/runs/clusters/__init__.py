"""Cells of a grid on other machines: what is sent, to whom, and who waits for it."""
