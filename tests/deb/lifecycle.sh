#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# lifecycle.sh - what becomes of configuration and spool, within a root that is thrown away.
set -u
cd /build || exit 1

native=$1
conf=/etc/postbus/postbus.conf
# Whether systemd runs here, or these are files of a Debian that does not.
if [ -d /run/systemd/system ]; then booted=yes; else booted=no; fi
failed=0

# check NAME COMMAND...: whether it says yes.
check() {
	echo "--- $*" >&2
	printf '[ RUN      ] %s\n' "$1"
	name=$1
	shift
	(
		set -ex
		"$@"
	) >&2
	# Not in the condition itself, where set -e would not hold.
	# shellcheck disable=SC2181
	if [ $? -eq 0 ]; then
		printf '[       OK ] %s\n' "$name"
	else
		printf '[  FAILED  ] %s\n' "$name"
		failed=1
	fi
}

apt() {
	apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confdef \
		-o Dpkg::Options::=--force-confold "$@" </dev/null
}

# start_gateway, stop_gateway: by systemd, or as it would.
start_gateway() {
	if [ $booted = yes ]; then
		systemctl start postbus
		[ "$(systemctl is-active postbus)" = active ]
		return
	fi
	install -d -o postbus -g postbus /run/postbus
	setpriv --reuid=postbus --regid=postbus --init-groups postbus run &
	gateway=$!
}

stop_gateway() {
	if [ $booted = yes ]; then
		systemctl stop postbus
		[ "$(systemctl show -P Result postbus)" = success ]
		return
	fi
	kill $gateway
	wait $gateway
}

waiting() {
	postbus spool list | grep -c 'barn/climate$' || true
}

# There is nothing to run yet, and that is no fault of the installation.
it_is_installed() {
	apt install "./postbus_$native.deb"
	postbus --version
	[ "$(systemctl is-enabled postbus)" = enabled ]
	grep -q '^ConditionPathExistsGlob=/etc/postbus/buses.d/\*.yaml$' \
		"$(dpkg -L postbus | grep '/postbus\.service$')"
	systemd-analyze verify --man=no postbus.service
	id -nG postbus | grep -qw dialout
	[ "$(stat -c '%U %G %a' /var/lib/postbus)" = 'postbus postbus 750' ]
	dpkg-query -W -f '${Conffiles}' postbus | grep -q " $conf "
	[ "$(postbus maps | wc -l)" -gt 50 ]
	[ $booted = no ] || [ "$(systemctl show -P ConditionResult postbus)" = no ]
	[ $booted = no ] || [ "$(systemctl is-failed postbus)" = inactive ]
}

all_its_files_are_there() {
	for file in $(dpkg -L postbus | sed 's|^/\.$|/|'); do
		# What a minimal Debian leaves out of packages.
		case $file in /usr/share/doc/* | /usr/share/man/*) continue ;; esac
		[ -e "$file" ] || echo "no $file"
	done | (! grep .)
	dpkg -L postbus | grep -E 'bash-completion|rules\.d/|sysusers\.d/|tmpfiles\.d/|postbus\.service' |
		wc -l | grep -qx '[5-9].*'
	for page in postbus.1 postbus.conf.5 postbus-bus.5 postbus-device-map.5 postbus-spool.5; do
		dpkg -L postbus | grep -q "/$page.gz$"
	done
}

nothing_was_lost() {
	[ "$(waiting)" -ge "$(cat waiting)" ]
	postbus spool verify
}

# Readings in the spool, while there is no broker.
readings_wait() {
	sed -i 's/^# gateway = .*/gateway = "barn";/' $conf
	cat >/etc/postbus/buses.d/wire.yaml <<-END
		bus: wire
		port: /run/wire
		baud: 19200
		devices:
		  - {name: climate, map: xy-md02, address: 1, every: 100ms}
	END
	postbus check
	postbus sim xy-md02@1 --link /run/wire --baud 19200 &
	echo $! >simulator
	until [ -e /run/wire ]; do sleep 0.1; done
	chown root:dialout "$(realpath /run/wire)"
	chmod 660 "$(realpath /run/wire)"
	start_gateway
	tries=0
	until [ "$(waiting)" -ge 5 ] || [ $((tries += 1)) -gt 300 ]; do sleep 0.1; done
	# Who is in the gateway's group may ask it.
	setpriv --reuid=nobody --regid=postbus --clear-groups postbus status
	setpriv --reuid=nobody --regid=postbus --clear-groups postbus spool status
	if [ $booted = yes ]; then
		systemctl reload postbus
		systemctl status --no-pager postbus
	fi
	stop_gateway
	waiting >waiting
	[ "$(cat waiting)" -ge 5 ]
}

# The user's file stays, what is newly shipped lies beside it.
an_upgrade_keeps_configuration_and_spool() {
	cp $conf edited
	dpkg-deb -R "postbus_$native.deb" newer
	sed -i 's/^Version: .*/&+1/' newer/DEBIAN/control
	echo '# A newer release says more.' >>newer/etc/postbus/postbus.conf
	dpkg-deb -b newer "newer_$native.deb"
	if [ $booted = yes ]; then
		start_gateway
		before=$(systemctl show -P MainPID postbus)
	fi
	apt install "./newer_$native.deb"
	if [ $booted = yes ]; then
		[ "$(systemctl is-active postbus)" = active ]
		[ "$(systemctl show -P MainPID postbus)" != "$before" ]
		stop_gateway
	fi
	dpkg-query -W -f '${Version}' postbus | grep -q '+1$'
	cmp $conf edited
	grep -q 'newer release' $conf.dpkg-dist
	nothing_was_lost
}

remove_keeps_configuration_and_spool() {
	[ $booted = no ] || start_gateway
	apt remove postbus
	[ $booted = no ] || [ "$(systemctl is-active postbus)" != active ]
	[ ! -e /usr/bin/postbus ]
	cmp $conf edited
	[ -e /etc/postbus/buses.d/wire.yaml ]
	[ -d /var/lib/postbus/spool ]
}

what_was_kept_is_there_when_it_is_installed_again() {
	apt install "./newer_$native.deb"
	cmp $conf edited
	nothing_was_lost
}

purge_leaves_only_what_the_user_added() {
	kill "$(cat simulator)"
	apt purge postbus
	[ ! -e $conf ]
	[ ! -e /var/lib/postbus ]
	[ ! -e /run/postbus ]
	[ "$(find /etc/postbus -type f)" = /etc/postbus/buses.d/wire.yaml ]
	[ -z "$(find /etc/systemd /var/lib/systemd -name '*postbus*')" ]
	[ -z "$(dpkg-query -W -f '${Status}' postbus)" ]
}

# it_runs_on ARCHITECTURE: as far as qemu goes.
it_runs_on() {
	case $1 in
	arm64) machine=aarch64 ;;
	armhf) machine=arm ;;
	amd64) machine=x86_64 ;;
	*) machine=$1 ;;
	esac
	dpkg --add-architecture "$1"
	apt-get update
	apt install "./postbus_$1.deb"
	emulator=$(command -v "qemu-$machine-static" || command -v "qemu-$machine")
	"$emulator" /usr/bin/postbus --version
	"$emulator" /usr/bin/postbus check /usr/share/postbus/devices/*.yaml
	"$emulator" /usr/bin/postbus sim xy-md02@1 --link /tmp/wire-"$1" &
	simulator=$!
	until [ -e /tmp/wire-"$1" ]; do sleep 0.1; done
	"$emulator" /usr/bin/postbus read /tmp/wire-"$1" xy-md02 --timeout 2s
	kill $simulator
	apt purge postbus
}

apt-get update >&2
check it_is_installed it_is_installed
check all_its_files_are_there all_its_files_are_there
check readings_wait_in_the_spool readings_wait
check an_upgrade_keeps_configuration_and_spool an_upgrade_keeps_configuration_and_spool
check remove_keeps_configuration_and_spool remove_keeps_configuration_and_spool
check it_is_all_there_when_installed_again what_was_kept_is_there_when_it_is_installed_again
check purge_leaves_only_what_the_user_added purge_leaves_only_what_the_user_added
for package in postbus_*.deb; do
	architecture=${package#postbus_}
	architecture=${architecture%.deb}
	[ "$architecture" = "$native" ] || check "it_runs_on_$architecture" it_runs_on "$architecture"
done
exit $failed
