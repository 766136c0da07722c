# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks that scripts/bench runs: one file per part, runner.py around them."""
