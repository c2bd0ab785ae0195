# SPDX-License-Identifier: Apache-2.0
# root.sh - roots of Debian, made of what this machine's apt has for sources: for deb and check.
# shellcheck shell=sh

say() {
	printf '%s\n' "deb: $*"
}

die() {
	say "$*" >&2
	exit 1
}

# step LOG WHAT COMMAND...: says what, runs the command, shows the end of its log when it fails.
step() {
	log=${directory:?}/$1.log
	say "$2"
	shift 2
	"$@" >"$log" 2>&1 </dev/null || {
		tail -n 60 "$log" >&2
		die "failed: $* (all of its output: $log)"
	}
}

# sources_of SUITE: lines for sources.list, of those that this machine's apt has.
sources_of() {
	# shellcheck disable=SC2016 # for apt-get
	apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		sort -u | awk -v here="$VERSION_CODENAME" -v wanted="$1" '
			$3 == here || $3 == here "-updates" { sub(here, wanted, $3); print }'
}

# debootstrap ROOT SUITE OPTION...: a new root, which keeps apt's lists and can reach the network.
debootstrap() {
	target=$1
	of=$2
	shift 2
	sources_of "$of" >"$target.list"
	[ -s "$target.list" ] || die "apt has no sources for $VERSION_CODENAME here"
	mmdebstrap --mode=root --format=directory --skip=cleanup/apt/lists "$@" "$of" "$target" \
		"$target.list"
	cp /etc/resolv.conf "$target/etc/resolv.conf"
}

# in_root ROOT PLACE COMMAND...: as root, with the directory PLACE as /build, and nothing mounted
# that is there afterwards.
in_root() {
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount --pid --fork sh -euc '
		root=$0
		place=$1
		shift
		mount -t proc proc "$root/proc"
		mount -t sysfs -o ro sysfs "$root/sys"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/run"
		mkdir -p "$root/build"
		mount --bind "$place" "$root/build"
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/build LC_ALL=C.UTF-8 \
			DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} "$@"
	' "$@"
}
