"""The error that a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """An error that the user can mend: `process.run` prints it as one line.

    status: exit status of the script; 2 when the flags are wrong, 1 for anything else.
    """

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status
