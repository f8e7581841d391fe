"""`python -m service.cli`: the command line where its console script is not at hand."""

from service.cli.main import main

main(prog_name="maywe")
