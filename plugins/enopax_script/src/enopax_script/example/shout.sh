#!/usr/bin/env bash
set -euo pipefail
input=$(cat)
file=$DATA/$(jq -r .id <<<"$input").txt

jq -n --rawfile message "$file" --argjson times "$(jq '.request.times // 1' <<<"$input")" \
    '{says: ([range($times) | $message | ascii_upcase] | join(" "))}'
