#!/usr/bin/env bash
echo "{\"size\": {\"value\": $(stat -c %s "$ENOPAX_RESOURCE_ID.txt"), \"unit\": \"bytes\", \"help\": \"Length of the message.\"}}"
