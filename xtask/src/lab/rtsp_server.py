# A camera with a test picture at /stream: GStreamer's RTSP server. Arguments: port, or port, user and password, for
# which it then asks by Digest. SIGUSR1 takes the password away for those who connect from then on, SIGUSR2 asks again.
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

# Another format than I420 the payloader refuses, and DESCRIBE is answered 503 after 20 s.
PICTURE = (
    "( videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=15/1"
    " ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)
ROLE = "viewer"

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(PICTURE)
factory.set_shared(True)
server.get_mount_points().add_factory("/stream", factory)


def ask(auth):
    server.set_auth(auth)
    print("asks for a password" if auth else "streams to anyone", flush=True)
    return GLib.SOURCE_CONTINUE


if len(sys.argv) > 2:
    user, password = sys.argv[2:]
    factory.add_role_from_structure(
        Gst.Structure.new_from_string(
            f"{ROLE},media.factory.access=(boolean)true,media.factory.construct=(boolean)true"
        )
    )
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    auth.add_digest(user, password, token)
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1, ask, None)
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR2, ask, auth)
    ask(auth)
else:
    ask(None)
if server.attach(None) == 0:
    sys.exit(f"cannot listen on port {sys.argv[1]}")
print("takes calls", flush=True)
GLib.MainLoop().run()
