"""`python -m monitor` is `eventflow`."""

from monitor.cli import main

main()
