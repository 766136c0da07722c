# SPDX-License-Identifier: BSD-3-Clause
import sys

from .command_line import main

sys.exit(main())
