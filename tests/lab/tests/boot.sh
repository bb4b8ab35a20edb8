#!/bin/bash
# SPDX-License-Identifier: MIT
# boot - the guest itself, without a card: systemd came up, udev runs, nothing failed.
# lab: card=none data=64M systemd=yes

n=0
check() {
	local what=$1

	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
	fi
}

no_failed_units() {
	local failed

	failed=$(systemctl list-units --failed --no-legend --plain)
	[ -z "$failed" ] && return
	echo "# $failed"
	return 1
}

echo 1..5
check "systemd is pid 1" test "$(cat /proc/1/comm)" = systemd
check "no unit failed" no_failed_units
check "udev answers" udevadm settle --timeout=20
check "the data disk is writable" sh -c 'echo x >/var/lib/oni/probe && sync /var/lib/oni/probe'
check "PCIe hot-plug slot is there" sh -c 'ls /sys/bus/pci/slots | grep -q .'
