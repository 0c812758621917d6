#!/usr/bin/env bash
# Write the greeting to a file named after the id. Called again after a crash, with the same id: it finds what is there.
set -euo pipefail
input=$(cat)
file=$DATA/$(jq -r .id <<<"$input").txt

echo "progress configure Writing the greeting"
jq -j .message <<<"$input" >"$file.new"
mv "$file.new" "$file"

# What was given out before must stay. Secrets are handed on in the environment: arguments can be seen by everybody.
token=$(jq -r '.resource.credentials.token // empty' <<<"$input")
export TOKEN=${token:-$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')}
jq '{access: "greeting://\(.id)", connection: {url: "greeting://\(.id)"}, credentials: {token: env.TOKEN}}' <<<"$input"
