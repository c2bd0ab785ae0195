#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# root.sh - what a machine boots: root.sh DIRECTORY PACKAGE [ARCHITECTURE]
#
# DIRECTORY gets vmlinuz, initrd.img and disk: Debian with PACKAGE installed. The Debian in it is
# kept for the next time, in DIRECTORY/base. That of another architecture is unpacked only, since
# nothing of it runs here; guest/init boots it all the same.
set -eu

# shellcheck source=.packaging/root.sh
. "$(dirname "$0")/../../.packaging/root.sh"

here=$(realpath "$(dirname "$0")")
mkdir -p "$1"
directory=$(realpath "$1")
package=$(realpath "$2")
native=$(dpkg --print-architecture)
architecture=${3:-$native}
# shellcheck source=/dev/null
. /etc/os-release
suite=${DEB_SUITE:-$VERSION_CODENAME}
base=$directory/base
root=$directory/root
case $architecture in
armhf) kernel=linux-image-armmp ;;
*) kernel=linux-image-$architecture ;;
esac
packages=$kernel,busybox-static,kmod,iproute2,procps
libraries=$(dpkg-deb --field "$package" Depends | sed 's/ *([^)]*)//g; s/ *|[^,]*//g; s/ //g')

make_base() {
	[ ! -e "$base.made" ] || return 0
	rm -rf --one-file-system "$base"
	if [ "$architecture" = "$native" ]; then
		step base "making a Debian to boot (a few minutes)" \
			debootstrap "$base" "$suite" --variant=minbase \
			--include="$packages,systemd,systemd-sysv,udev,dbus,adjtimex,$libraries"
	else
		step base "unpacking a Debian of $architecture to boot" \
			debootstrap "$base" "$suite" --variant=extract --architectures="$architecture" \
			--include="$packages,dash,coreutils,mount,util-linux,libc-bin,$libraries"
	fi
	# What no machine here has would make each disk twice as large.
	for without in drivers/gpu drivers/media drivers/net/wireless drivers/net/ethernet \
		drivers/infiniband drivers/scsi drivers/staging sound; do
		rm -rf "$base"/lib/modules/*/kernel/$without
	done
	rm -rf "$base"/usr/share/doc "$base"/usr/share/locale "$base"/var/cache/apt/archives
	depmod -b "$base" "$(ls "$base/lib/modules")"
	touch "$base.made"
}

install_package() {
	if [ "$architecture" = "$native" ]; then
		mkdir "$directory/place"
		cp "$package" "$directory/place/postbus.deb"
		step package "installing $(basename "$package")" in_root "$root" "$directory/place" \
			apt-get install -y --no-install-recommends /build/postbus.deb
		rm -r "$directory/place"
	else
		dpkg-deb -x "$package" "$root"
	fi
	rm -rf "$root"/var/lib/apt/lists/*
}

install_guest() {
	mkdir -p "$root/usr/local/sbin" "$root/proc" "$root/sys" "$root/run" "$root/var/lib"
	install -m 755 "$here/guest/agent" "$here/guest/init" "$root/usr/local/sbin"
	[ "$architecture" = "$native" ] || return 0
	install -m 644 "$here/guest/agent.service" "$root/etc/systemd/system"
	install -D -m 644 "$here/guest/vm.network" "$root/etc/systemd/network/vm.network"
	${CC:-cc} -O2 -static -o "$root/usr/local/sbin/hold" "$here/guest/hold.c"
	mkdir -p "$root/var/log/journal"
	echo vm >"$root/etc/hostname"
	step guest 'preparing it for the test' chroot "$root" sh -euc '
		systemctl enable agent.service systemd-networkd.service
		systemctl disable postbus.service
		systemctl mask getty@tty1 serial-getty@ttyS0 e2scrub_reap systemd-rfkill.socket \
			apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
			fstrim.timer'
}

# Modules for the disk, in the order in which they are loaded, and what loads them.
make_initrd() {
	initrd=$directory/initrd
	version=$(ls "$root/lib/modules")
	rm -rf "$initrd"
	mkdir -p "$initrd/bin" "$initrd/modules" "$initrd/proc" "$initrd/sys" "$initrd/dev" \
		"$initrd/root"
	cp "$(find "$root/bin" "$root/usr/bin" -maxdepth 1 -name busybox | head -n 1)" "$initrd/bin"
	ln -s busybox "$initrd/bin/sh"
	install -m 755 "$here/guest/initrd" "$initrd/init"
	for module in virtio_pci virtio_blk ext4; do
		modprobe --show-depends -d "$root" -S "$version" $module
	done | sed -n 's/^insmod //p' | while read -r file; do
		case $file in
		*.xz) xz -dc "$file" ;;
		*) cat "$file" ;;
		esac >"$directory/module"
		name=$(basename "$file" .xz)
		grep -qsx "$name" "$initrd/modules/order" || {
			mv "$directory/module" "$initrd/modules/$name"
			echo "$name" >>"$initrd/modules/order"
		}
	done
	rm -f "$directory/module"
	(cd "$initrd" && find . | cpio --quiet -o -H newc | gzip -1) >"$directory/initrd.img"
	rm -rf "$initrd"
}

make_base
rm -rf --one-file-system "$root" "$directory/place" "$directory/disk"
cp -a "$base" "$root"
install_package
install_guest
make_initrd
cp "$root"/boot/vmlinuz-* "$directory/vmlinuz"
rm -rf "${root:?}"/boot/*
truncate -s 1500M "$directory/disk"
mke2fs -q -t ext4 -d "$root" "$directory/disk"
rm -rf --one-file-system "$root"
