"""`python -m benchmark.overhead`."""

from benchmark.overhead.steps import main

main()
