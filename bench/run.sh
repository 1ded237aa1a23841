#!/bin/sh
# Runs the comparison that `make bench` stands for; README.md says how to narrow it.
set -e
cd "$(dirname "$0")"
exec python3 run.py "$@"
