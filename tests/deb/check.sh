#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check.sh - installs, upgrades, removes and purges the packages of `make deb` in a fresh Debian.
set -eu

# shellcheck source=.packaging/root.sh
. "$(dirname "$0")/../../.packaging/root.sh"

skip() {
	echo "[  SKIPPED ] deb: $*" >&2
	echo '0 passed, 0 failed, 1 skipped'
	exit 0
}

# boot ROOT PLACE: Debian as it runs, in a container, with PLACE as /build; not if it does not start.
boot() {
	command -v systemd-nspawn >/dev/null || return 1
	systemd-nspawn --register=no --keep-unit --boot --console=pipe -D "$1" --bind="$2:/build" \
		</dev/null >/dev/null 2>&1 &
	container=$!
	tries=0
	until is_up; do
		tries=$((tries + 1))
		if [ $tries -gt 60 ] || ! kill -0 $container 2>/dev/null; then
			kill $container 2>/dev/null || true
			return 1
		fi
		sleep 1
	done
}

# Whether systemd has started what there is to start in the container; who it is.
is_up() {
	leader=$(tr -d ' ' <"/proc/$container/task/$container/children")
	case $(nsenter --all --target "$leader" systemctl is-system-running 2>/dev/null) in
	running | degraded) return 0 ;;
	*) return 1 ;;
	esac
}

# above ROOT DIRECTORY PLACE ARCHITECTURE: the lifecycle in what lies above the root, booted where
# that can be; in a mount namespace that ends with it.
above() {
	mount -t tmpfs -o size=3G tmpfs "$2"
	mkdir "$2/upper" "$2/work" "$2/root"
	mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
	if boot "$2/root" "$3"; then
		echo 'in a container with systemd'
		status=0
		nsenter --all --target "$leader" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} \
			sh /build/lifecycle.sh "$4" || status=$?
		nsenter --all --target "$leader" systemctl poweroff
		wait $container || true
		return $status
	fi
	echo 'without systemd: it is not started or stopped by it'
	in_root "$2/root" "$3" sh /build/lifecycle.sh "$4"
}

if [ "${1:-}" = --above ]; then
	shift
	above "$@"
	exit
fi

here=$(realpath "$(dirname "$0")")
directory=$(realpath -m "${1:?the directory that the packages are in}")
native=$(dpkg --print-architecture)
# shellcheck source=/dev/null
. /etc/os-release
suite=${DEB_SUITE:-$VERSION_CODENAME}
root=$directory/root-fresh-$suite

[ "$(id -u)" -eq 0 ] || skip 'needs root'
command -v mmdebstrap >/dev/null || skip 'mmdebstrap is missing'
ls "$directory"/postbus_*_"$native".deb >/dev/null 2>&1 || skip "no package in $directory: make deb"

if [ ! -e "$root.made" ]; then
	rm -rf --one-file-system "$root"
	say "making a root of Debian's $suite, as it is freshly installed"
	debootstrap "$root" "$suite" --variant=minbase --include=systemd,udev,qemu-user-static \
		>"$root.log" 2>&1 || skip "there can be no root: see $root.log (is there a network?)"
	touch "$root.made"
fi

# What is done to the root is done above it, and gone afterwards.
place=$(mktemp -d)
cp "$here/lifecycle.sh" "$place"
for package in "$directory"/postbus_*_*.deb; do
	architecture=${package##*_}
	# Of those of an architecture the newest.
	cp "$(ls -t "$directory"/postbus_*_"$architecture" | head -n 1)" "$place/postbus_$architecture"
done
status=0
above=$(mktemp -d)
trap 'rm -rf "$place" "$above"' EXIT
unshare --mount "$here/check.sh" --above "$root" "$above" "$place" "$native" \
	>"$directory/lifecycle.out" 2>"$directory/lifecycle.log" || status=$?
cat "$directory/lifecycle.out"
[ $status -eq 0 ] || tail -n 60 "$directory/lifecycle.log" >&2
printf '%d passed, %d failed, 0 skipped\n' \
	"$(grep -c '       OK ' "$directory/lifecycle.out" || true)" \
	"$(grep -c '  FAILED  ' "$directory/lifecycle.out" || true)"
exit $status
