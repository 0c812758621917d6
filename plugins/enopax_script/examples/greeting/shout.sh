#!/usr/bin/env bash
echo "progress shout 50% Taking a breath" >&2
python3 -c 'import json, sys; print(json.dumps({"said": open(sys.argv[1]).read().upper()}))' "$ENOPAX_RESOURCE_ID.txt"
