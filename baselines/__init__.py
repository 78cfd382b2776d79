"""The other methods, each one file, built on `vtrans`."""
