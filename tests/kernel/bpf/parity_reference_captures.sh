#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# parity_reference_captures.sh PARITY [OPTION...]: compares replay with the BPF program on every reference capture. The
# captures are not in the repository (some have no licence). Exits with 77 (skipped) if ../shared/pcaps is missing.
set -euo pipefail
pcaps=$(dirname "$0")/../../../../shared/pcaps
if [ ! -d "$pcaps" ]; then
  echo "skipped: no reference captures (../shared/pcaps)"
  exit 77
fi
captures=$(find "$pcaps" -name '*.pcap*' | sort)
[ -n "$captures" ] || { echo "$pcaps holds no capture" >&2; exit 1; }
# shellcheck disable=SC2086
exec "$@" $captures
