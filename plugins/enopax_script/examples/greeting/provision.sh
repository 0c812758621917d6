#!/usr/bin/env bash
# Called again after a crash: what was given out before stays, so the token is kept if there is one.
set -euo pipefail
read -r input
field() { python3 -c 'import json, sys; value = json.loads(sys.argv[1])
for name in sys.argv[2].split("."): value = (value or {}).get(name)
print(value or "", end="")' "$input" "$1"; }

echo "progress provision Writing the greeting" >&2
field resource.config.message >"$ENOPAX_RESOURCE_ID.txt"
token=$(field resource.credentials.token)
[[ $token ]] || token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "progress verify 90% Looking at it" >&2
[[ -e $ENOPAX_RESOURCE_ID.txt ]]
url=greeting://$ENOPAX_RESOURCE_ID
echo "{\"access\": \"$url\", \"connection\": {\"url\": \"$url\"}, \"credentials\": {\"token\": \"$token\"}}"
