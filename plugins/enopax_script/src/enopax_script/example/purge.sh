#!/usr/bin/env bash
set -euo pipefail
rm -f "$DATA/deleted/$(jq -r .id).txt"
