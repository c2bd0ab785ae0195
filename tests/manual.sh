#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# manual.sh - the manual pages say what the program says of itself, no less and no more.
set -eu

if ! command -v python3 >/dev/null; then
	echo '[  SKIPPED ] manual: python3 is missing' >&2
	echo '[  SKIPPED ] manual'
	exit 77
fi
exec python3 "${POSTBUS_SOURCE:-$(dirname "$0")/..}/tests/manual.py"
