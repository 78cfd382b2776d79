"""Methods of the VTrans paper. One method, one file."""
