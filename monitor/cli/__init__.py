"""The command `eventflow`."""

import sys

from monitor.cli.commands import app
from monitor.cli.output import tell_error
from monitor.cli.rules import print_rules
from monitor.errors import ConfigurationError, EventflowError, MonitorRefused

app.command("rules")(print_rules)


def main() -> None:
    """Run the command line; what goes wrong is a sentence on standard error, and the exit code."""
    try:
        app(prog_name="eventflow")
    except ConfigurationError as error:
        tell_error(str(error))
        sys.exit(2)
    except MonitorRefused as error:
        hint = "; set EVENTFLOW_TOKEN to a token of this monitor" if error.slug == "unauthenticated" else ""
        tell_error(f"{error}{hint}")
        sys.exit(1)
    except EventflowError as error:
        tell_error(str(error))
        sys.exit(1)
