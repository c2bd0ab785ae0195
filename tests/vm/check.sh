#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check.sh - the gateway in virtual machines: check.sh DIRECTORY PACKAGES POSTBUS
#
# DIRECTORY keeps what machines boot for the next time; PACKAGES is where `make deb` has put its
# packages, POSTBUS the program of this machine, which plays the devices. In the environment:
# VM_CUTS, how often power is cut (50); VM_REPLUGS, how often the adapter is replugged (20).
set -eu

here=$(realpath "$(dirname "$0")")
mkdir -p "$1"
directory=$(realpath "$1")
packages=$(realpath -m "$2")
postbus=$(realpath "$3")
native=$(dpkg --print-architecture)
passed=0
failed=0
skipped=0

end() {
	printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
	[ $failed -eq 0 ] || exit 1
	exit 0
}

skip() {
	echo "SKIP: $*"
	skipped=$((skipped + 1))
}

# package ARCHITECTURE: the newest.
package() {
	# shellcheck disable=SC2012 # names of our own
	ls -t "$packages"/postbus_*_"$1".deb 2>/dev/null | head -n 1
}

# root ARCHITECTURE: what its machine boots; false where there can be none.
root() {
	if [ -z "$(package "$1")" ]; then
		skip "$1: no package in $packages: make deb"
		return 1
	fi
	"$here/root.sh" "$directory/$1" "$(package "$1")" "$1" && return
	skip "$1: there can be no machine (is there a network?)"
	return 1
}

# try NAME ARGUMENT...: runs NAME.py, and counts what it says.
try() {
	name=$1
	place=$directory/$name
	shift
	rm -rf "$place"
	status=0
	python3 -B "$here/$name.py" "$directory/$of" "$place" "$postbus" "$@" >"$directory/$name.out" \
		2>&1 || status=$?
	cat "$directory/$name.out"
	passed=$((passed + $(grep -c '^PASS: ' "$directory/$name.out" || true)))
	failed=$((failed + $(grep -c '^FAIL: ' "$directory/$name.out" || true)))
	# One that ended otherwise than by its own count.
	[ $status -eq 0 ] || grep -q '^FAIL: ' "$directory/$name.out" || failed=$((failed + 1))
	[ $failed -gt 0 ] || rm -rf "$place"
}

for tool in qemu-system-x86_64:qemu-system-x86 mmdebstrap:mmdebstrap cpio:cpio depmod:kmod \
	mke2fs:e2fsprogs debugfs:e2fsprogs mosquitto:mosquitto mosquitto_sub:mosquitto-clients \
	python3:python3; do
	command -v "${tool%:*}" >/dev/null || {
		skip "${tool%:*} is missing (apt-get install ${tool#*:})"
		end
	}
done
[ "$(id -u)" -eq 0 ] || {
	skip 'it takes root, to make what a machine boots'
	end
}
[ "$native" = amd64 ] || {
	skip "of machines of $native only Arm ones are known here"
}

of=amd64
if [ "$native" = amd64 ] && root amd64; then
	try system "${VM_REPLUGS:-20}"
	try clock
	try cuts "${VM_CUTS:-50}"
fi
for of in arm64 armhf; do
	case $of in
	arm64) emulator=qemu-system-aarch64 ;;
	armhf) emulator=qemu-system-arm ;;
	esac
	if ! command -v "$emulator" >/dev/null; then
		skip "$of: $emulator is missing (apt-get install qemu-system-arm)"
	elif root $of; then
		try arm $of
	fi
done
end
