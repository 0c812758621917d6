#!/usr/bin/env bash
set -euo pipefail
export TOKEN=$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
jq -n '{credentials: {token: env.TOKEN}}'
