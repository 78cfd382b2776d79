"""`python -m benchmark` is `vtrans-bench`."""

from benchmark.cli import main

main()
