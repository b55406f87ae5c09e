"""The errors that finesight raises: each message says what, where, and what to do."""


class FinesightError(Exception):
    """Anything that finesight can explain; the command line prints it as one line."""


class InputError(FinesightError):
    """An argument, a path or a query that cannot be used (exit code 2)."""


class DataError(FinesightError):
    """A file or a store that is damaged, or of a kind finesight does not read."""


class MissingDependencyError(FinesightError):
    """A part that has to be installed first; the message names the command."""


class ServiceError(FinesightError):
    """Another program that is asked over the network, and does not do its part."""
