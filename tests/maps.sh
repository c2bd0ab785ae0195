#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# maps.sh - postbus maps and check: what they list and show of maps, and what they say is wrong.
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
	wanted_status=$1
	shift
	says_verb "$wanted_status" maps "$@"
}

# says_verb STATUS VERB ARGUMENT...
says_verb() {
	cat >wanted
	wanted_status=$1
	shift
	status=0
	"$postbus" "$@" >said 2>&1 || status=$?
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

# 01 03 00 00 00 01 84 0A is the request, 01 03 02 00 C8 B9 D2 an answer.
check_tells_the_right_checksum() {
	mkdir sums
	cat >sums/sums.yaml <<-'END'
		map: sums
		driver: modbus
		points: {a: {addr: 0}}
		examples:
		  - {send: "01 03 00 00 00 01 00 00", receive: "01 03 02 00 C8 B9 D2", points: {a: 200}}
		  - {send: "01 03 00 00 00 01 84 0A", receive: "01 03 02 00 C8 00 00", points: {a: 200}}
		  - {send: "01 03 00 00 00 01 84 0A", receive: "01 03 02 00 C8 B9 D2", points: {a: 200}}
		  - {send: "01 2B 00 00 00 01 E4 0C", receive: "01 03 02 00 C8 B9 D2", points: {a: 200}}
	END
	printf '%s\n' 'map: line' 'driver: text' 'points: {a: {field: 1}}' \
		'examples: [{receive: "1\n", points: {a: 1}}]' >sums/line.yaml
	says_verb 1 check sums/sums.yaml <<-'END'
		map sums: 1 point, 4 examples
		sums/sums.yaml:5:5: send is not a whole request that reads: length, function or checksum is wrong: the checksum would be 84 0A
		sums/sums.yaml:6:5: receive is not the answer to send: checksum: the checksum would be B9 D2
		sums/sums.yaml:8:5: send is not a whole request that reads: length, function or checksum is wrong
	END
}

sim_says_what_it_cannot_play() {
	says_verb 2 sim --maps shipped --fault silent gps <<-'END'
		postbus sim: the map has no examples that could be played: gps (--help says more)
	END
	says_verb 2 sim --maps sums --fault silent line <<-'END'
		postbus sim: only answers of Modbus go wrong: line (--help says more)
	END
	says_verb 2 sim --maps sums line sums@1 <<-'END'
		postbus sim: is of another driver than the first: sums (--help says more)
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
check check_tells_the_right_checksum
check sim_says_what_it_cannot_play
check wrong_usage
exit $failed
