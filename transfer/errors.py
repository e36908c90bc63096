"""Errors of the product: one sentence that names the value, what was allowed and what to do."""


class RootstockError(Exception):
    """Base of every error this project raises on purpose; `exit_code` is what the console script ends with."""

    exit_code = 1


class UserError(RootstockError):
    """The input is at fault: a value, a file or a folder that the user can mend. Ends with exit code 2."""

    exit_code = 2


class EnvironmentFault(RootstockError):
    """The machine is at fault: a full disk, a dead server, a broken tool. Ends with exit code 1."""
