#!/usr/bin/env bash
if [[ -e $ENOPAX_RESOURCE_ID.txt ]]; then
    echo '{"health": "ready"}'
else
    echo '{"health": "missing", "message": "The file is gone."}'
fi
