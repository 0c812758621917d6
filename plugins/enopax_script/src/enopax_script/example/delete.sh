#!/usr/bin/env bash
# The data is kept for `retentionDays`, so it is only put aside. Nothing there is no error: this may be called again.
set -euo pipefail
file=$(jq -r .id).txt

mkdir -p "$DATA/deleted"
[[ ! -e $DATA/$file ]] || mv "$DATA/$file" "$DATA/deleted/$file"
rm -f "$DATA/$file.new"
