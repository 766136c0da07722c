# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong in a run. The text is the one line that the program would print.

Beside these there are Python's own: FileNotFoundError, IsADirectoryError and PermissionError for captures,
PermissionError where the capabilities for live metering are missing, ValueError for a setting that cannot be.
"""


class Error(Exception):
    """The run has failed."""
    __module__ = "flowmeter"


class CaptureError(Error):
    """A capture cannot be read: it is none, or reading failed, or it is damaged and strict was asked for."""
    __module__ = "flowmeter"


class MeterWarning(UserWarning):
    """The run goes on, but something is not as it should be: a damaged capture, flows forced out, losses."""
    __module__ = "flowmeter"
