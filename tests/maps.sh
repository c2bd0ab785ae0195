#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# maps.sh - postbus maps: what it lists, what it shows of a map, and what it says is wrong.
# shellcheck disable=SC2317 # check calls its functions by name
set -eu

source=$(cd "${POSTBUS_SOURCE:-$(dirname "$0")/..}" && pwd)
postbus=${POSTBUS:-$source/build/postbus}
directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT
cd "$directory"
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

# says STATUS ARGUMENT...: postbus maps says, on both outputs, what is on our input.
says() {
	cat >wanted
	wanted_status=$1
	shift
	status=0
	"$postbus" maps "$@" >said 2>&1 || status=$?
	[ "$status" -eq "$wanted_status" ] || echo "status $status, wanted $wanted_status: $*"
	diff -u wanted said || true
}

mkdir site shipped
cat >shipped/meter.yaml <<-'END'
	map: meter
	title: A meter that is "shipped"
	source: Its maker
	driver: modbus
	serial: {baud: [2400, 9600], format: [8E1, 8N1], address: 7}
	points:
	  power:  {addr: 0x001A, table: input, type: i32, unit: W, class: power, every: 500ms}
	  energy: {addr: 28, type: u32, unit: kWh, class: energy, total: true}
	  mode:   {addr: 30, bits: 4..6, values: {0: off}}
	  limit:  {addr: 31, unit: °C, write: {}}
	  relay:  {addr: 0, table: coil}
	  model:  {addr: 40, type: "string[6]"}
END
cat >shipped/gps.yaml <<-'END'
	map: gps
	driver: text
	checksum: nmea
	points:
	  latitude: {sentence: GGA, field: 2, type: degrees}
	  fixed:    {match: '(\d)', every: 1min}
END
cat >site/gps.yaml <<-'END'
	map: gps
	title: The site's own
	extends: gps
	points: {fixed: null}
END
echo 'gateway = "g"; maps = ["site", "shipped"]; broker: { host = "127.0.0.1"; };' >postbus.conf

a_site_s_map_stands_before_the_shipped_one() {
	says 0 -c postbus.conf <<-'END'
		MAP                            DRIVER       POINTS  TITLE
		gps                            text              1  The site's own
		meter                          modbus            6  A meter that is "shipped"
	END
}

one_directory_alone() {
	says 0 --maps shipped --json <<-'END'
		[
		{"map":"gps","title":"","driver":"text","points":2,"file":"shipped/gps.yaml"},
		{"map":"meter","title":"A meter that is \"shipped\"","driver":"modbus","points":6,"file":"shipped/meter.yaml"}
		]
	END
}

markdown() {
	says 0 --maps shipped --markdown <<-'END'
		| map | device | driver | points | baud rates and formats |
		| --- | --- | --- | ---: | --- |
		| [gps](gps.yaml) |  | text | 2 |  |
		| [meter](meter.yaml) | A meter that is "shipped" | modbus | 6 | 2400, 9600 8E1, 8N1 |
	END
}

a_map_is_shown() {
	says 0 show meter --maps shipped <<-'END'
		map:     meter
		device:  A meter that is "shipped"
		source:  Its maker
		file:    shipped/meter.yaml
		driver:  modbus
		serial:  2400, 9600 8E1, 8N1, address 7

		POINT   WHERE                     TYPE           UNIT  CLASS           EVERY
		power   input 0x001A              i32            W     power           500ms
		energy  holding 0x001C            u32            kWh   energy (total)  10s
		mode    holding 0x001E bits 4..6  u16, named                           10s
		limit   holding 0x001F            u16, writable  °C                    10s
		relay   coil 0x0000               bool                                 10s
		model   holding 0x0028            string[6]                            10s
	END
	says 0 show gps --maps shipped <<-'END'
		map:     gps
		device:  
		source:  
		file:    shipped/gps.yaml
		driver:  text
		serial:  

		POINT     WHERE           TYPE     UNIT  CLASS  EVERY
		latitude  field 2 of GGA  degrees               10s
		fixed     match           number                1min
	END
}

no_such_map() {
	says 1 show metre --maps shipped <<-'END'
		postbus maps: there is no map 'metre': did you mean 'meter'?
	END
	says 1 -c missing.conf <<-'END'
		missing.conf:1:1: cannot be read: No such file or directory
	END
}

a_map_with_faults_is_left_out_and_told_of() {
	mkdir faulty
	cp shipped/meter.yaml faulty
	printf 'map: bad\ndriver: modbus\npoints: {a: {addr: 1, tipe: u16}}\n' >faulty/bad.yaml
	says 1 --maps faulty <<-'END'
		MAP                            DRIVER       POINTS  TITLE
		meter                          modbus            6  A meter that is "shipped"
		faulty/bad.yaml:3:23: a point has no key 'tipe': did you mean 'type'?
	END
}

wrong_usage() {
	"$postbus" maps --help >help
	for words in "show" "show a b" "show a --json" "meter" "--tables"; do
		# shellcheck disable=SC2086 # a list
		says 2 $words <help | grep -v "maps: unrecognized option '--tables'" |
			grep -vE '^(---|\+\+\+|@@| )' || true
	done
}

check a_site_s_map_stands_before_the_shipped_one
check one_directory_alone
check markdown
check a_map_is_shown
check no_such_map
check a_map_with_faults_is_left_out_and_told_of
check wrong_usage
exit $failed
