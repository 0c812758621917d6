#!/usr/bin/env bash
# Every id that has anything here, deleted ones too: what the core does not know of them is an orphan.
set -euo pipefail
find "$DATA" -name '*.txt' -printf '%f\n' | jq -Rn '[inputs | rtrimstr(".txt")]'
