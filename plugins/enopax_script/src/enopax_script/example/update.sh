#!/usr/bin/env bash
set -euo pipefail
input=$(cat)
file=$DATA/$(jq -r .id <<<"$input").txt

echo "progress configure Writing the new greeting"
jq -j .message <<<"$input" >"$file.new"
mv "$file.new" "$file"
