#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tree.sh - rules that the source tree and the maps keep, which no compiler checks.
# shellcheck disable=SC2317 # check calls its functions by name
set -eu

cd "${POSTBUS_SOURCE:-$(dirname "$0")/..}"
postbus=${POSTBUS:-build/postbus}
failed=0

# What a test prints is what is wrong; a test that prints nothing has passed.
check() {
	printf '[ RUN      ] %s\n' "$1"
	found=$("$1" 2>&1) || found="$found${found:+
}(it ended with status $?)"
	if [ -z "$found" ]; then
		printf '[       OK ] %s\n' "$1"
	else
		printf '%s\n[  FAILED  ] %s\n' "$found" "$1"
		failed=1
	fi
}

sources() {
	find src -name '*.[ch]' | sort
}

# users HEADER: who includes it.
users() {
	sources | xargs grep -lE "^[ 	]*#[ 	]*include[ 	]*[<\"]$1[>\"]" || true
}

# Each library is known to one file, libmosquitto to one room.
only_in() {
	header=$1
	shift
	wanted=$(printf 'src/%s\n' "$@")
	[ "$(users "$header")" = "$wanted" ] ||
		printf '%s\n' "$header: wanted in $wanted alone, is in: $(users "$header")"
}

# cJSON is known to those who speak JSON with others.
only_where_json_is_spoken() {
	users 'cjson/cJSON\.h' | grep -vxE \
		'src/(bridge/setting\.c|drivers/text\.c|uplink/control\.h|tools/[a-z_]*\.[ch])' || true
}

each_library_in_one_file() {
	only_in 'libserialport\.h' field/serial.c
	only_in 'mosquitto\.h' mqtt/client_state.h
	only_in 'libconfig\.h' config/conf.c
	only_in 'yaml\.h' config/yaml.c
	only_in 'pcre2\.h' config/pattern.c
	only_in 'microhttpd\.h' metrics/server.c
	only_in 'ncurses\.h' tools/screen.c
	only_where_json_is_spoken
}

# The rooms that a room may look into besides itself, and single headers that are an exception.
rooms_seen_from() {
	case $1 in
	base) ;;
	config) echo base ;;
	bridge) echo base config ;;
	drivers) echo base config bridge field/driver.h ;;
	mqtt) echo base config ;;
	field) echo base config bridge drivers ;;
	uplink) echo base config bridge drivers mqtt ;;
	report) echo base config bridge drivers field uplink ;;
	metrics) echo base config bridge drivers field uplink report ;;
	buses | reader | farewell) echo base config bridge drivers field ;;
	daemon_state | daemon | reload)
		echo base config bridge drivers field uplink report metrics \
			buses reader farewell dispatch daemon_state
		;;
	ending) echo bridge daemon_state ;;
	dispatch) echo base config bridge ;;
	tools | main) echo base config bridge drivers field uplink mqtt report metrics daemon tools ;;
	esac
}

# room PATH: of a path below src, base for base/log.c and daemon for daemon.c.
room() {
	case $1 in
	*/*) echo "${1%%/*}" ;;
	*) echo "${1%.*}" ;;
	esac
}

rooms_look_down_only() {
	sources | while read -r file; do
		from=$(room "${file#src/}")
		allowed=" $from $(rooms_seen_from "$from") "
		sed -nE 's/^[ 	]*#[ 	]*include[ 	]*"([^"]*)".*/\1/p' "$file" |
			while read -r header; do
				[ -e "src/$header" ] || { echo "$file: no src/$header"; continue; }
				case $allowed in
				*" $(room "$header") "* | *" $header "*) ;;
				*) echo "$file: $from may not include $header" ;;
				esac
			done
	done
}

every_room_has_a_rule() {
	for room in src/*/; do
		case $(basename "$room") in
		base | config | bridge | drivers | field | mqtt | uplink | metrics | tools) ;;
		*) echo "$room: what may it include? See rooms_seen_from in tests/tree.sh" ;;
		esac
	done
}

# A test is named by its program, tests/test_log for tests/test_log.c.
every_source_is_in_the_build() {
	{
		sources
		find tests -name '*.[ch]' | sed 's/\.c$//'
	} | while read -r file; do
		grep -qwF "$file" Makefile.am || echo "$file: not in Makefile.am"
	done
}

every_source_has_its_license() {
	{ sources; find tests -name '*.[ch]' -o -name '*.sh'; } | sort |
		while read -r file; do
			head -n 2 "$file" | grep -qF 'SPDX-License-Identifier: Apache-2.0' ||
				echo "$file: no SPDX line at the top"
		done
}

nothing_is_put_off() {
	grep -rnwE 'TO''DO|FIX''ME' src tests devices etc man systemd .ci bootstrap Makefile.am \
		configure.ac || true
}

# The names in Makefile.am's dist_map_DATA.
shipped_maps() {
	sed -n '/^dist_map_DATA = /,/[^\\]$/p' Makefile.am | grep -oE 'devices/[^ \\]*\.yaml'
}

every_map_is_shipped() {
	shipped=$(shipped_maps)
	for map in devices/*.yaml; do
		printf '%s\n' "$shipped" | grep -qxF "$map" || echo "$map: not in Makefile.am's dist_map_DATA"
	done
	for map in $shipped; do
		[ -e "$map" ] || echo "Makefile.am: no $map"
	done
}

every_map_has_source_and_examples() {
	for map in devices/*.yaml; do
		grep -qE '^source: .' "$map" || echo "$map: no source:"
		examples=$(sed -n '/^examples:/,/^[^ #]*:/p' "$map" | grep -cE '\breceive:' || true)
		[ "$examples" -ge 2 ] || echo "$map: $examples examples, two are wanted"
	done
}

every_map_plays_its_examples() {
	"$postbus" check devices/*.yaml >/dev/null
}

the_table_of_maps_is_up_to_date() {
	wanted=$("$postbus" maps --maps devices --markdown)
	[ "$(grep '^|' devices/README.md)" = "$wanted" ] ||
		echo "devices/README.md: make -C build devices-table"
}

# etc/ as it would be installed, but with the maps of this tree.
the_configuration_that_ships_is_right() {
	status=0
	directory=$(mktemp -d)
	sed "s|^# maps *=.*|maps = [ \"$PWD/devices\" ]; buses = \"$PWD/etc/buses.d\";|" \
		etc/postbus.conf >"$directory/postbus.conf"
	"$postbus" check -c "$directory/postbus.conf" >/dev/null || status=$?
	rm -r "$directory"
	return "$status"
}

manual_has_every_metric() {
	grep -oE '"postbus_[a-z_]+"' src/metrics/exposition.c | tr -d '"' | while read -r metric; do
		grep -qE "\\b$metric(_total)?\\b" man/postbus.conf.5 ||
			echo "man/postbus.conf.5: no $metric"
	done
}

# What it is built with, in bootstrap and for Debian's package.
both_name_the_same_libraries() {
	for library in $(sed -n "/^packages='/,/'/p" bootstrap | grep -oE 'lib[a-z0-9.-]+-dev'); do
		grep -qE "^ $library( |,)" .packaging/debian/control ||
			echo ".packaging/debian/control: no $library in Build-Depends"
	done
}

# Where there is a systemd that tells without running the service (250).
the_unit_is_right_and_hardened() {
	systemd-analyze security --help 2>/dev/null | grep -q -e --offline || return 0
	directory=$(mktemp -d)
	sed "s|@bindir@/postbus|$(realpath "$postbus")|; s|@sysconfdir@|/etc|" \
		systemd/postbus.service.in >"$directory/postbus.service"
	systemd-analyze verify --man=no --recursive-errors=no "$directory/postbus.service" || true
	# In tenths: 1.5.
	systemd-analyze security --offline=true --threshold=15 "$directory/postbus.service" \
		>"$directory/out" 2>&1 || tail -n 1 "$directory/out"
	rm -r "$directory"
}

check each_library_in_one_file
check rooms_look_down_only
check every_room_has_a_rule
check every_source_is_in_the_build
check every_source_has_its_license
check nothing_is_put_off
check every_map_is_shipped
check every_map_has_source_and_examples
check every_map_plays_its_examples
check the_table_of_maps_is_up_to_date
check the_configuration_that_ships_is_right
check manual_has_every_metric
check both_name_the_same_libraries
check the_unit_is_right_and_hardened
exit $failed
