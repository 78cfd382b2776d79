"""Compress one Transformer: anatomy, gates, surgery, size, distillation, training and the VTrans methods."""
