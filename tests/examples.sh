#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# examples.sh - the consumer in etc/examples keeps each message once and tells what is missing.
set -eu

source=$(cd "${POSTBUS_SOURCE:-$(dirname "$0")/..}" && pwd)
postbus=$(realpath "${POSTBUS:-$source/build/postbus}")
name=a_consumer_keeps_each_message_once_and_tells_holes
PATH=$PATH:/usr/sbin:/sbin

for tool in python3 mosquitto mosquitto_sub mosquitto_pub; do
	command -v "$tool" >/dev/null || {
		echo "[  SKIPPED ] $name" "$tool is missing" >&2
		echo "[  SKIPPED ] $name"
		exit 77
	}
done

directory=$(mktemp -d)
cd "$directory"
running=
clean_up() {
	# shellcheck disable=SC2086 # a list
	[ -z "$running" ] || kill $running 2>/dev/null || true
	rm -rf "$directory"
}
trap clean_up EXIT

fail() {
	echo "$*"
	tail -n 20 gateway.log broker.log kept ./*.said 2>/dev/null || true
	echo "[  FAILED  ] $name"
	exit 1
}

# wait_for WHAT COMMAND...: until it says yes, a minute long.
wait_for() {
	what=$1
	shift
	tries=600
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || fail "in vain waited for $what"
		sleep 0.1
	done
}

start() {
	"$@" &
	pid=$!
	running="$running $pid"
}

waiting() {
	"$postbus" spool list -c postbus.conf | awk '$1 ~ /^[0-9]+$/ && /barn\/climate$/ { print $1 }'
}

many_wait() {
	[ "$(waiting | wc -l)" -ge 8 ]
}

start_gateway() {
	start env RUNTIME_DIRECTORY="$directory" "$postbus" run -c postbus.conf 2>>gateway.log
	gateway=$pid
}

echo "[ RUN      ] $name"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >postbus.conf <<END
gateway = "barn"; buses = "buses"; maps = [ "$source/devices" ];
broker: { host = "127.0.0.1"; port = $port; reconnect: { first = "100ms"; most = "200ms"; }; };
publish: { clock_wait = "0s"; };
spool: { directory = "spool"; };
END
mkdir buses
cat >buses/wire.yaml <<END
bus: wire
port: $directory/wire
baud: 19200
devices:
  - {name: climate, map: xy-md02, address: 1, every: 100ms}
END

# Readings wait while there is no broker; two of them are given up.
start "$postbus" sim xy-md02@1 --maps "$source/devices" --link wire --baud 19200 >sim.said 2>&1
wait_for 'the simulator' test -e wire
start_gateway
wait_for 'readings in the spool' many_wait
kill "$gateway"
wait "$gateway" || fail "the gateway ended with $?"
first=$(waiting | sed -n 4p)
second=$(waiting | sed -n 5p)
for seq in "$first" "$second"; do
	"$postbus" spool drop "$seq" --yes -c postbus.conf >drop.said 2>&1 || fail 'nothing was dropped'
done

# The command as the example has it, but for the broker's place.
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >broker.conf
start mosquitto -v -c broker.conf >broker.log 2>&1
mkdir bin
cat >bin/mosquitto_sub <<END
#!/bin/sh
echo \$\$ >$directory/subscriber
exec $(command -v mosquitto_sub) -h 127.0.0.1 -p $port "\$@"
END
chmod +x bin/mosquitto_sub
cp "$source/etc/examples/keep.py" .
command=$(sed -n 's/^ *\(mosquitto_sub .*\)/\1/p' keep.py)
grep -qF "$command" "$source/README.md" || fail "not in README.md: $command"
wait_for 'the broker' grep -q ' running' broker.log
start env PATH="$directory/bin:$PATH" sh -c "$command" >kept 2>consumer.said
consumer=$pid
wait_for 'the subscription' grep -q 'SUBACK to keeper' broker.log
start_gateway
wait_for 'what waited and the loss' grep -q 'barn/loss' kept

# One of them comes again, as after a link that was lost.
again=$(grep -m 1 'barn/climate	' kept)
seq=$(echo "$again" | sed 's/.*seq:\([0-9]*\).*/\1/')
mosquitto_pub -h 127.0.0.1 -p "$port" -V 5 -q 1 -t barn/climate -D publish user-property seq "$seq" \
	-m "$(echo "$again" | cut -f 3)"
wait_for 'the message that comes twice' grep -q "^again.*seq:$seq" kept
kill "$gateway"
wait "$gateway" || fail "the gateway ended with $?"
kill "$(cat subscriber)"
wait "$consumer" || fail "the consumer ended with $?"

twice=$(sed -n 's/^kept .*	seq:\([0-9]*\).*	.*/\1/p' kept | sort | uniq -d)
[ -z "$twice" ] || fail "kept twice: $twice"
missing=$(grep 'did not come' kept || true)
told="^barn: ($first|$second) to ($first|$second) did not come: dropped by hand$"
printf '%s\n' "$missing" | grep -qE "$told" || fail "not told: $first and $second are missing"
! printf '%s\n' "$missing" | grep -vE "$told" || fail 'nothing else was to be missing'
echo "$(grep -c '^kept' kept) kept, $(grep -c '^again' kept) came again; $missing"
echo "[       OK ] $name"
