#!/usr/bin/env bash
python3 -c 'import json, sys; print(json.dumps({"said": open(sys.argv[1]).read()}))' "$ENOPAX_RESOURCE_ID.txt"
