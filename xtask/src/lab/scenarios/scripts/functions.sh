# Stands in for OpenWrt's functions.sh: what default_postinst and default_prerm do with this package's files.
# shellcheck shell=sh source=/dev/null
default_postinst() {
	(cd /etc/uci-defaults && . /etc/uci-defaults/95-porchlight) && rm -f /etc/uci-defaults/95-porchlight
	/etc/init.d/porchlight enable
	/etc/init.d/porchlight start
}
default_prerm() {
	[ "$PKG_UPGRADE" = 1 ] || /etc/init.d/porchlight disable
	/etc/init.d/porchlight stop
}
