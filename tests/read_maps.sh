#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# read_maps.sh - every map that ships: postbus sim plays it and postbus read reads all its points.
set -eu

source=$(cd "${POSTBUS_SOURCE:-$(dirname "$0")/..}" && pwd)
postbus=${POSTBUS:-$source/build/postbus}
maps=$source/devices

# is_played NAME POINT: Modbus devices hold all their points, others say their map's examples,
# of which one that is asked says the first.
is_played() {
	grep -q '^driver: modbus' "$maps/$1.yaml" ||
		awk '/^examples:/ { on = 1 } on && /^ *- / && ++n > 1 { exit } on' \
			"$maps/$1.yaml" | grep -q "[{ ]$2:"
}

# read_map NAME: plays it and reads it back; prints what is wrong.
read_map() {
	directory=$(mktemp -d)
	mkfifo "$directory/ready"
	"$postbus" sim "$1" --maps "$maps" --link "$directory/wire" --baud 115200 --format 8N1 \
		>"$directory/ready" 2>"$directory/said" &
	simulator=$!
	read -r _ <"$directory/ready" || true
	"$postbus" read "$directory/wire" "$1" --maps "$maps" --baud 115200 --format 8N1 --json \
		>"$directory/read" 2>>"$directory/said" || echo "$1: read ended with status $?"
	kill "$simulator" 2>/dev/null || true
	wait "$simulator" 2>/dev/null || true
	# The JSON text has each of the points.
	"$postbus" maps show "$1" --maps "$maps" |
		sed '1,/^POINT /d' | awk 'NF { print $1 }' | while read -r point; do
		grep -q "\"$point\":" "$directory/read" || ! is_played "$1" "$point" ||
			echo "$1: $point was not read"
	done
	rm -r "$directory"
}

if [ $# -gt 0 ]; then
	read_map "$1"
	exit
fi

found=$(for map in "$maps"/*.yaml; do basename "$map" .yaml; done |
	xargs -P 8 -n 1 sh "$0")
count=$(find "$maps" -name '*.yaml' | wc -l)
echo "[ RUN      ] all_maps_are_played_and_read"
if [ -z "$found" ]; then
	echo "$count maps"
	echo "[       OK ] all_maps_are_played_and_read"
else
	printf '%s\n[  FAILED  ] all_maps_are_played_and_read\n' "$found"
	exit 1
fi
