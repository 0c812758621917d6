#!/usr/bin/env bash
set -euo pipefail
file=$(jq -r .id).txt

if [[ -e $DATA/deleted/$file ]]; then
    mv "$DATA/deleted/$file" "$DATA/$file"
elif [[ ! -e $DATA/$file ]]; then
    echo "error Nothing is left of this greeting."
fi
