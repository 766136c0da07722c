# SPDX-License-Identifier: BSD-3-Clause
"""Errors and warnings of a run. Their texts are the lines that the program would print.

Some errors are exceptions of Python itself: FileNotFoundError, IsADirectoryError and PermissionError for captures,
PermissionError if the capabilities for live metering are missing, and ValueError for a setting that is not valid.
"""


class Error(Exception):
    """The run has failed."""
    __module__ = "flowmeter"


class CaptureError(Error):
    """The file is not a capture, or reading it failed, or it is damaged and strict=True."""
    __module__ = "flowmeter"


class MeterWarning(UserWarning):
    """The run continues, but something is wrong: a damaged capture, flows forced out, losses."""
    __module__ = "flowmeter"
