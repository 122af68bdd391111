//! What `porchlight help TOPIC` says where no README is: short pages for a router's console, in 80 columns.

/// A page.
pub(super) struct Topic {
    /// What it is asked for by. A section type's page is followed by its options.
    pub(super) name: &'static str,
    /// The page.
    pub(super) text: &'static str,
}

/// All pages.
pub(super) static TOPICS: [Topic; 9] = [
    Topic {
        name: "quickstart",
        text: "\
1. porchlight cameras               what is there; it prints sections to paste
2. vi /etc/config/porchlight        sections wan, record, camera, mapping; first
                                    option enabled '1' on top
   porchlight providers NAME        has the record of your DNS service to paste
3. porchlight check                 what it means, or each fault with its line
4. service porchlight reload        then, after a few seconds: porchlight status
Put tokens into files below /etc/porchlight/, and write option token_file.
",
    },
    Topic {
        name: "camera",
        text: "\
A camera is known by list mac (best), or by its DHCP name or its address. It is
found wherever it moves. It needs a password of its own, for RTSP as well: it is
asked without one before its port is opened, and every hour after that. What is
not proven to want one stays closed.
",
    },
    Topic {
        name: "mapping",
        text: "\
One section for each port. src_dport is the port on the internet (take one
above 20000), dest_port that on the camera, path its stream's path. Tell viewers
to use TCP. For a port that cannot be asked for a password (probe tcp, UDP, a
range) you vouch with option allow_open '1'. Closed? porchlight status says why.
",
    },
    Topic {
        name: "providers",
        text: "\
porchlight providers                all names
porchlight providers NAME           what it needs, and a section to paste
provider custom sends any request that you write, provider dyndns2 speaks that
protocol to any server, provider rfc2136 is for a name server of your own.
",
    },
    Topic {
        name: "tunnel",
        text: "\
For a line that nobody can reach from outside (carrier-grade NAT, and no IPv6).
It carries what a mapping lets in, over a server of yours. Every visitor comes
from the server then, so that a mapping with src_ip is not carried.
",
    },
    Topic {
        name: "notify",
        text: "\
One section for each channel. porchlight notify test sends a test by all.
Others can read the topic or group? Leave option details at '0'.
",
    },
    Topic {
        name: "symptoms",
        text: "\
porchlight doctor names the first broken link, and its mend.
What porchlight status says, and what to do:
no agent is running             porchlight check; service porchlight start
no IPv4 default route yet       look at the link; it goes on by itself
behind another router           switch UPnP on in the box, or bridge it
carrier-grade NAT               ask for a public address; IPv6; a tunnel
credentials refused             mend the token; it rests until then
not seen yet                    compare list mac with porchlight cameras
silent since                    the camera's power and network; dest_port
another device holds its        give the camera a static lease; or it was
  address                       replaced: its new list mac
streams to anyone               set a password in the camera, for RTSP, too
not proven to ask for a         path and probe: what is spoken at dest_port?
  password                      the line says what the camera answered
port is forwarded already,      another src_dport, or take that rule away
  or held by
clock                           NTP; it goes on when the clock is set
All is well, yet no picture?    the viewer must use TCP (RTSP interleaved)
Nothing comes in at all?        another src_dport: providers block some
porchlight trigger tries at once what waits or rests. logread -e porchlight
shows what happened; option log_level 'debug' shows more.
",
    },
    Topic {
        name: "files",
        text: "\
/etc/config/porchlight          the configuration, mode 0600
/etc/porchlight/                tokens; kept by sysupgrade, like the above
/etc/porchlight/refresh         the day on which a name must be sent again
/var/run/porchlight/            memory, lock and control socket; in tmpfs
/etc/config/firewall            sections porchlight_*: mapping_backend 'uci'
                                only
/etc/config/dhcp                sections porchlight_*: static_lease only
/etc/crontabs/root              one line: resident '0' only
The log goes to the system's: logread -e porchlight
",
    },
    Topic {
        name: "exit-codes",
        text: "\
0  all is well
1  something failed, or is not as it should be; for status: not all is well
2  the configuration or the arguments are faulty
3  of status: no agent runs; of doctor: there are warnings only
So: porchlight status >/dev/null || echo look
",
    },
];
