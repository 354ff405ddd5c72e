"""The error that a user can fix."""

from __future__ import annotations


class UserError(Exception):
    """An error that the user can fix, printed as one line by `process.run`.

    status: exit status of the script, 2 for invalid flags, 1 for other errors, 130 or 143 for
        interruptions.
    """

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status
