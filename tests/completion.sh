#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# completion.sh - what bash completes is what the program has.
set -u

source=$(cd "${POSTBUS_SOURCE:-$(dirname "$0")/..}" && pwd)
postbus=${POSTBUS:-$source/build/postbus}
cd "$source" || exit 1
# shellcheck source=src/tools/postbus.bash
. src/tools/postbus.bash

# completed WORD...: what the last word can become, sorted, in one line.
completed() {
	COMP_WORDS=(postbus "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_postbus "$postbus" "${COMP_WORDS[$#]}" "${COMP_WORDS[$# - 1]}" 2>&1
	printf '%s\n' "${COMPREPLY[@]}" | sort -u | paste -sd ' '
}

failed=0
# check NAME WANTED FOUND
check() {
	printf '[ RUN      ] %s\n' "$1"
	if [ "$2" = "$3" ]; then
		printf '[       OK ] %s\n' "$1"
	else
		printf 'wanted: %s\nfound:  %s\n[  FAILED  ] %s\n' "$2" "$3" "$1"
		failed=1
	fi
}

check a_verb 'scan sim spool status' "$(completed s)"
check a_verb_of_the_spool 'list' "$(completed spool li)"
check a_verb_of_maps 'show' "$(completed maps s)"
check an_option_of_a_verb '--link' "$(completed sim xy-md02 --li)"
check an_option_of_a_verb_of_the_spool '--limit' "$(completed spool list --lim)"
check an_option_that_it_does_not_have '' "$(completed spool show 1 --lim)"
check a_map 'eastron-sdm120' "$(completed sim --maps devices eastron-sdm12)"
check a_map_to_be_shown 'eastron-sdm120' "$(completed maps show --maps devices eastron-sdm12)"
check a_map_to_be_read 'xy-md02' "$(completed read --maps devices /dev/ttyS0 --echo xy-)"
check a_port "$("$postbus" ports --json | grep -o '"name":"[^"]*"' | cut -d '"' -f 4 |
	sort -u | paste -sd ' ')" "$(completed scan /)"
check a_format '8E1' "$(completed read /dev/ttyUSB0 --format 8E)"
check an_interval '500ms 5s' "$(completed top --interval 5)"
check a_file 'devices/xy-md02.yaml' "$(completed check devices/xy-md0)"
check a_directory 'devices' "$(completed demo --maps dev)"
check a_number '' "$(completed spool list --from '')"
for verb in $("$postbus" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
	check "options_of_$verb" \
		"$("$postbus" "$verb" --help | grep -oE -- '(^|[ ,|[])--[a-z-]+' | tr -d ' ,|[' |
			sort -u | paste -sd ' ')" "$(completed "$verb" --)"
done
exit $failed
