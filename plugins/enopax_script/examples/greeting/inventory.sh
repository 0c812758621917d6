#!/usr/bin/env bash
shopt -s nullglob
ids=()
for file in *.txt; do ids+=("\"${file%.txt}\""); done
(IFS=,; echo "[${ids[*]}]")
