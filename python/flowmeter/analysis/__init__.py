# SPDX-License-Identifier: BSD-3-Clause
"""Classes, statistics, correlations and plots of a CSV of flows (docs/analyzer.md). Needs pandas, and matplotlib for plots."""
