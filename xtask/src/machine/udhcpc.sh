#!/bin/sh
# What udhcpc calls: sets the address, the route and the resolver, then calls hotplug as netifd does.
case "$1" in
deconfig)
	ip addr flush dev "$interface"
	ip link set "$interface" up
	;;
bound | renew)
	ip addr add "$ip/$mask" dev "$interface"
	ip route add default via "${router%% *}" dev "$interface"
	for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
	export ACTION=ifup INTERFACE=wan DEVICE="$interface" HOTPLUG_TYPE=iface
	for script in /etc/hotplug.d/iface/*; do
		[ -f "$script" ] && (. "$script")
	done
	;;
esac
exit 0
