#!/bin/busybox sh
# Process 1 of the emulated router: mounts, loads the kernel's modules, then does what the host says on the console.
# A line is `NUMBER COMMAND`; the answer is `@NUMBER> TEXT` for each line that the command says, and
# `@NUMBER= STATUS` at its end.
/bin/busybox --install -s
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mkdir -p /tmp/run /tmp/log
dmesg -n 1
stty -echo -onlcr
while read -r module; do
	insmod "/lib/modules/$module.ko" || echo "@! module $module"
done </lib/modules/order
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
echo "@ready $(cut -d' ' -f1 /proc/uptime) $(date +%s)"
while read -r number command; do
	(eval "$command") </dev/null >/tmp/.said 2>&1
	status=$?
	sed "s/^/@$number> /" /tmp/.said
	echo "@$number= $status"
done
poweroff -f
