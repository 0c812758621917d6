#!/usr/bin/env bash
rm -f "$ENOPAX_RESOURCE_ID.txt"
