#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# schema.sh - the JSON Schemas that editors use agree with what postbus reads.
set -eu

if ! python3 -c 'import jsonschema, yaml' 2>/dev/null; then
	echo '[  SKIPPED ] schema: python3-jsonschema or python3-yaml is missing' >&2
	echo '[  SKIPPED ] schema'
	exit 77
fi
exec python3 "${POSTBUS_SOURCE:-$(dirname "$0")/..}/tests/schema.py"
