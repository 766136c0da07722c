# SPDX-License-Identifier: BSD-3-Clause
"""Compares the flows of two CSVs and says why they differ (docs/diff.md). Needs the standard library only."""
