"""`python -m finesight` is the same as `finesight`."""

from finesight.cli.app import main

main()
