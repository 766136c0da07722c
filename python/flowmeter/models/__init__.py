# SPDX-License-Identifier: BSD-3-Clause
"""Independent, simple models of three flow meters: each computes the rows that its meter writes for a capture.

They are written from the definition of the features or from the behaviour of the other programs. They share no code
with the meter and do not use its native module, so the tests can check the meter with them. flowmeter.diff uses them to
read packets. They are slow and keep every packet. They need only the standard library and Python 3.9 or newer.

    python3 -m flowmeter.models.cic82 CAPTURE > expected.csv
"""
