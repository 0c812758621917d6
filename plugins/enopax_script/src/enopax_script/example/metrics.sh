#!/usr/bin/env bash
set -euo pipefail
file=$DATA/$(jq -r .id).txt

jq -n --argjson size "$(stat -c %s "$file")" '{size: {value: $size, unit: "bytes", help: "Length of the greeting."}}'
