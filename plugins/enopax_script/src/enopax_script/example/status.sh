#!/usr/bin/env bash
set -euo pipefail
file=$DATA/$(jq -r .id).txt

if [[ -e $file ]]; then
    jq -n --rawfile message "$file" '{health: "ready", config: {message: $message}}'
else
    echo '{"health": "missing", "message": "The file is gone."}'
fi
