"""Stages of training, the methods of the VTrans paper, and those for decoders and of no task."""
