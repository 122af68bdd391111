#!/bin/sh
# Plugs the camera in: a network namespace at the other end of a virtual cable, where a server says `front`.
set -e
ip link add lan0 type veth
ip link set veth0 address 02:00:00:00:00:20
ip addr add 192.168.1.1/24 dev lan0
ip link set lan0 up
unshare -n sleep 100000 &
camera=$!
within() { nsenter -t "$camera" -n "$@"; }
# unshare has done its work when the namespace is another one.
until [ "$(readlink "/proc/$camera/ns/net")" != "$(readlink /proc/1/ns/net)" ]; do :; done
ip link set veth0 netns "$camera"
within ip link set lo up
within ip link set veth0 name eth0
within ip addr add 192.168.1.20/24 dev eth0
within ip link set eth0 up
within ip route add default via 192.168.1.1
within nc -ll -p 554 -e echo front &
echo "4102444800 02:00:00:00:00:20 192.168.1.20 camera 01:02:00:00:00:00:20" >/tmp/dhcp.leases
# Its first words, so that the router's kernel knows it.
within ping -c 1 -W 5 192.168.1.1
