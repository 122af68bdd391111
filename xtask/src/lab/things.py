"""A device of a home, made of parts that are named by its arguments:

  rtsp:PORT:PATH:SCHEME    an RTSP server; SCHEME is Basic, Digest or open
  http:PORT:SCHEME         a web page; likewise
  wsd:TYPES:SCOPES         WS-Discovery by python-ws-discovery; TYPES is video, device or printer, SCOPES are parted by
                           blanks, and one that begins with http is the address of its service
  upnp:SERVER              answers searches for root devices
  mdns:TYPE:NAME           a service, by python-zeroconf
  flood                    answers each question of WS-Discovery with thousands of datagrams

Writes "ready" when all of it is there.
"""

import hashlib
import socket
import socketserver
import struct
import sys
import threading

GROUP = "239.255.255.250"
ONVIF = "http://www.onvif.org/ver10/"
TYPES = {
    "video": [(ONVIF + "network/wsdl", "NetworkVideoTransmitter"), (ONVIF + "device/wsdl", "Device")],
    "device": [(ONVIF + "device/wsdl", "Device")],
    "printer": [
        ("http://schemas.xmlsoap.org/ws/2006/02/devprof", "Device"),
        ("http://schemas.microsoft.com/windows/2006/08/wdp/print", "PrintDeviceType"),
    ],
}
FLOOD = 20_000


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def refusal(scheme):
    nonce = hashlib.sha256(b"lab").hexdigest()[:32]
    more = f', nonce="{nonce}", algorithm=MD5' if scheme == "Digest" else ""
    return f'WWW-Authenticate: {scheme} realm="Login to 3c0a{more}"\r\n'


def rtsp(port, path, scheme):
    sdp = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\n"

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while request := self.head():
                method, url = request[0].split(" ")[:2]
                number = next((line for line in request if line.lower().startswith("cseq:")), "CSeq: 0")
                self.wfile.write(self.reply(method, url).format(number=number).encode())

        def head(self):
            lines = []
            for line in self.rfile:
                line = line.decode("latin-1").rstrip("\r\n")
                if not line:
                    return lines
                lines.append(line)
            return None

        def reply(self, method, url):
            if method == "OPTIONS":
                return "RTSP/1.0 200 OK\r\n{number}\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n"
            if scheme != "open":
                return "RTSP/1.0 401 Unauthorized\r\n{number}\r\n" + refusal(scheme) + "\r\n"
            if not url.endswith(path):
                return "RTSP/1.0 404 Not Found\r\n{number}\r\n\r\n"
            head = f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n"
            return "RTSP/1.0 200 OK\r\n{number}\r\n" + head + sdp

    serve(port, Handler)


def http(port, scheme):
    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.readline().strip():
                pass
            status = "200 OK\r\n" if scheme == "open" else "401 Unauthorized\r\n" + refusal(scheme)
            body = "<html>hello</html>"
            head = f"Content-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            self.wfile.write(f"HTTP/1.1 {status}{head}{body}".encode())

    serve(port, Handler)


def serve(port, handler):
    server = Server(("", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def wsd(kind, words):
    from wsdiscovery import QName, Scope
    from wsdiscovery.publishing import ThreadedWSPublishing

    words = words.split(" ")
    publisher = ThreadedWSPublishing()
    publisher.start()
    types = [QName(*name) for name in TYPES[kind]]
    scopes = [Scope(word) for word in words if not word.startswith("http")]
    publisher.publishService(types, scopes, [word for word in words if word.startswith("http")])


def mdns(service, name):
    from zeroconf import ServiceInfo, Zeroconf

    own = address()
    info = ServiceInfo(f"{service}.local.", f"{name}.{service}.local.", port=554, server="thing.local.",
                       addresses=[socket.inet_aton(own)])
    Zeroconf(interfaces=[own]).register_service(info)


def address():
    """The address by which the router is reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect(("192.168.1.1", 9))
        return way.getsockname()[0]


def hear(port, answer):
    """Has `answer` answer what is sent to the group."""
    place = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("", port))
    join = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address()))
    place.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, join)

    def run():
        while True:
            question, sender = place.recvfrom(65535)
            answer(place, question, sender)

    threading.Thread(target=run, daemon=True).start()


def upnp(server):
    def answer(place, question, sender):
        if b"M-SEARCH" in question:
            place.sendto((
                f"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nSERVER: {server}\r\n"
                f"LOCATION: http://{address()}:5000/root.xml\r\nST: upnp:rootdevice\r\n"
                "USN: uuid:0000::upnp:rootdevice\r\n\r\n").encode(), sender)

    hear(1900, answer)


def flood():
    device = (
        "<Envelope><Body><ProbeMatches><ProbeMatch><Types>tds:Device</Types>"
        "<Scopes>onvif://www.onvif.org/name/flood</Scopes></ProbeMatch></ProbeMatches></Body></Envelope>").encode()

    def answer(place, question, sender):
        if b"discovery/Probe<" not in question:
            return
        for number in range(FLOOD):
            place.sendto(device if number % 2 else b"\x00" * 1400, sender)

    hear(3702, answer)


PARTS = {"rtsp": rtsp, "http": http, "wsd": wsd, "upnp": upnp, "mdns": mdns, "flood": flood}

for part in sys.argv[1:]:
    kind, _, rest = part.partition(":")
    counts = {"rtsp": 2, "http": 1, "wsd": 1, "mdns": 1}
    fields = rest.split(":", counts.get(kind, 0)) if rest else []
    fields = [int(field) if field.isdigit() else field for field in fields]
    PARTS[kind](*fields)
print("ready", flush=True)
threading.Event().wait()
