# SPDX-License-Identifier: BSD-3-Clause
"""Independent models of three flow meters: the rows that each writes for a capture, by the plainest means.

They are written from the definition of the features or from the behaviour of the other programs. They share no code
with the meter and do not use its native module, so the tests can check the meter with them. flowmeter.diff reads
packets with them. They are slow and keep every packet. Standard library only, Python 3.9 or newer.

    python3 -m flowmeter.models.cic82 CAPTURE > expected.csv
"""
