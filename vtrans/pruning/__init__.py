"""Masks and gates on the units of a model, the size they leave, and surgery."""
