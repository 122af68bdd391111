"""A server of frp's protocol v1 for proxies of TCP, written after what frp's own sources say and not after our client.

AES is OpenSSL's, MD5 and PBKDF2 are Python's. It holds the client to the rules: a window that is exceeded, a stream number
that is none, a ping that is not answered within ten seconds ends the session with a line that begins with "violation".
"""

import asyncio
import contextlib
import ctypes
import hashlib
import json
import os
import socket
import ssl
import struct
import sys

SET = json.loads(sys.argv[1])
WINDOW = 256 * 1024
# What frp raises a stream's window to.
RAISED = 6 * 1024 * 1024
PING_EVERY, PING_LIMIT = 1, 10
DATA, UPDATE, PING, AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
TOKEN = SET["token"].encode()
KEY = hashlib.pbkdf2_hmac("sha1", TOKEN, b"frp", 64, 16)

crypto = ctypes.CDLL("libcrypto.so.3")
crypto.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
crypto.EVP_aes_128_cfb128.restype = ctypes.c_void_p
CHARS = ctypes.c_char_p
crypto.EVP_CipherInit_ex.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, CHARS, CHARS, ctypes.c_int]
crypto.EVP_CipherUpdate.argtypes = [ctypes.c_void_p, CHARS, ctypes.POINTER(ctypes.c_int), CHARS, ctypes.c_int]


def say(*words):
    print(*words, flush=True)


class Cfb:
    def __init__(self, first, seal):
        self.context = crypto.EVP_CIPHER_CTX_new()
        assert crypto.EVP_CipherInit_ex(self.context, crypto.EVP_aes_128_cfb128(), None, KEY, first, int(seal)) == 1

    def run(self, data):
        out, length = ctypes.create_string_buffer(len(data) + 16), ctypes.c_int()
        assert crypto.EVP_CipherUpdate(self.context, out, ctypes.byref(length), data, len(data)) == 1
        return out.raw[: length.value]


class Plain:
    """A connection that is one stream."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def read(self, most=65536):
        return await self.reader.read(most)

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()

    def close(self):
        self.writer.close()


class Branch:
    """A stream of a session."""

    def __init__(self, mux, number):
        self.mux, self.number = mux, number
        self.may_send, self.may_receive, self.owed = WINDOW, RAISED, 0
        self.inbox, self.ended, self.broken, self.closed = bytearray(), False, False, False
        self.changed = asyncio.Event()

    async def until(self, ready):
        while not ready():
            if self.broken:
                raise ConnectionResetError
            self.changed.clear()
            await self.changed.wait()

    async def read(self, most=65536):
        await self.until(lambda: self.inbox or self.ended)
        data = bytes(self.inbox[:most])
        del self.inbox[:most]
        self.owed += len(data)
        if self.owed >= RAISED // 2 and not self.ended:
            self.may_receive += self.owed
            self.mux.frame(UPDATE, 0, self.number, self.owed)
            self.owed = 0
        return data

    async def write(self, data):
        while data:
            await self.until(lambda: self.may_send)
            if self.closed:
                raise BrokenPipeError
            piece, data = data[: min(self.may_send, 32768)], data[min(self.may_send, 32768) :]
            self.may_send -= len(piece)
            self.mux.frame(DATA, 0, self.number, len(piece), piece)
            await self.mux.writer.drain()

    def close(self):
        if not self.closed and not self.broken:
            self.closed = True
            self.mux.frame(UPDATE, FIN, self.number, 0)

    def wake(self):
        self.changed.set()


class Mux:
    def __init__(self, reader, writer):
        self.reader, self.writer, self.branches, self.tasks = reader, writer, {}, set()
        self.answered = asyncio.Event()

    def frame(self, kind, flags, number, length, data=b""):
        self.writer.write(struct.pack(">BBHII", 0, kind, flags, number, length) + data)

    async def ping(self):
        count = 0
        while True:
            await asyncio.sleep(PING_EVERY)
            self.answered.clear()
            self.frame(PING, SYN, 0, count)
            try:
                await asyncio.wait_for(self.answered.wait(), PING_LIMIT)
            except asyncio.TimeoutError:
                say("violation: a ping was not answered")
                self.writer.close()
                return
            count += 1
            say("ping", count, "was answered")

    async def run(self):
        pinging = asyncio.create_task(self.ping())
        try:
            while True:
                await self.one()
        except AssertionError as error:
            say("violation:", error)
        finally:
            pinging.cancel()
            for branch in self.branches.values():
                branch.broken = True
                branch.wake()

    async def one(self):
        version, kind, flags, number, length = struct.unpack(">BBHII", await self.reader.readexactly(12))
        assert version == 0 and kind <= AWAY, f"version {version}, type {kind}"
        if kind == PING:
            if flags & SYN:
                self.frame(PING, ACK, 0, length)
            else:
                self.answered.set()
            return
        if kind == AWAY:
            raise ConnectionResetError
        if flags & SYN:
            assert number % 2 == 1 and number not in self.branches, f"stream {number} is opened"
            branch = self.branches[number] = Branch(self, number)
            self.frame(UPDATE, ACK, number, RAISED - WINDOW)
            task = asyncio.create_task(serve(branch))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        branch = self.branches.get(number)
        if kind == UPDATE and branch:
            branch.may_send += length
            assert branch.may_send <= RAISED, f"a window of {branch.may_send}"
        if kind == DATA:
            data = await self.reader.readexactly(length)
            if branch:
                branch.may_receive -= length
                assert branch.may_receive >= 0, f"{-branch.may_receive} bytes beyond the window of stream {number}"
                assert not branch.ended, f"content after the end of stream {number}"
                branch.inbox += data
        if branch:
            branch.ended |= bool(flags & FIN)
            branch.broken |= bool(flags & RST)
            branch.wake()
            if branch.broken or (branch.ended and branch.closed):
                del self.branches[number]


class Talk:
    """Messages on a stream, enciphered from `seal` on."""

    def __init__(self, stream):
        self.stream, self.inbox, self.open, self.sealed = stream, b"", None, None

    async def exactly(self, count):
        while len(self.inbox) < count:
            data = await self.stream.read()
            if not data:
                raise EOFError
            self.inbox += self.open.run(data) if self.open else data
        data, self.inbox = self.inbox[:count], self.inbox[count:]
        return data

    async def seal(self):
        first = os.urandom(16)
        await self.stream.write(first)
        self.sealed = Cfb(first, True)
        theirs = await self.exactly(16)
        self.open = Cfb(theirs, False)
        self.inbox = self.open.run(self.inbox) if self.inbox else b""

    async def receive(self):
        head = await self.exactly(9)
        length = struct.unpack(">q", head[1:])[0]
        assert 0 <= length <= 10240, f"a message of {length} bytes"
        return head[:1].decode(), json.loads(await self.exactly(length))

    async def send(self, kind, **body):
        text = json.dumps(body).encode()
        data = kind.encode() + struct.pack(">q", len(text)) + text
        await self.stream.write(self.sealed.run(data) if self.sealed else data)


def is_proven(message, must=False):
    """By default frp asks for the proof at the login alone."""
    if not must and not message.get("privilege_key"):
        return True
    proof = hashlib.md5(TOKEN + str(message.get("timestamp", 0)).encode()).hexdigest()
    return message.get("privilege_key") == proof


CONTROLS = {}
PORTS = {}


class Control:
    def __init__(self, talk, login):
        self.talk, self.login, self.listeners = talk, login, {}
        self.run_id = login.get("run_id") or os.urandom(8).hex()
        self.idle = asyncio.Queue()

    async def run(self):
        if not is_proven(self.login, must=True):
            say("login refused")
            await self.talk.send("1", version="0.61.0", error="token in login doesn't match token from configuration")
            return
        before = CONTROLS.get(self.run_id)
        if before:
            before.end()
        CONTROLS[self.run_id] = self
        say("login", self.run_id, "replaces the session before" if before else "is new")
        await self.talk.send("1", version="0.61.0", run_id=self.run_id, error="")
        await self.talk.seal()
        try:
            for _ in range(self.login.get("pool_count", 0)):
                await self.talk.send("r")
            while True:
                await self.heard(*await self.talk.receive())
        finally:
            if CONTROLS.get(self.run_id) is self:
                del CONTROLS[self.run_id]
            self.end()

    def end(self):
        for name, (port, listener) in self.listeners.items():
            listener.close()
            PORTS.pop(port, None)
            say("proxy", name, "is closed")
        self.listeners = {}
        self.talk.stream.close()

    async def heard(self, kind, body):
        if kind == "h":
            await self.talk.send("4", error="" if is_proven(body) else "token in heartbeat doesn't match")
            say("heartbeat")
        elif kind == "p":
            address, error = "", ""
            try:
                address = await self.listen(body["proxy_name"], body.get("remote_port", 0))
            except (OSError, ValueError) as why:
                error = "port unavailable" if isinstance(why, OSError) else str(why)
            say("proxy", body["proxy_name"], address or error)
            await self.talk.send("2", proxy_name=body["proxy_name"], remote_addr=address, error=error)

    async def listen(self, name, port):
        if port and port not in range(*SET["allow"]):
            raise ValueError("port not allowed")
        if port in PORTS:
            raise ValueError("port already used")
        listener = await asyncio.start_server(lambda r, w: self.visitor(name, Plain(r, w)), SET["bind"], port)
        port = listener.sockets[0].getsockname()[1]
        self.listeners[name] = (port, listener)
        PORTS[port] = name
        return f":{port}"

    async def visitor(self, name, visitor):
        try:
            if self.idle.empty():
                await self.talk.send("r")
                work = await asyncio.wait_for(self.idle.get(), 10)
            else:
                work = self.idle.get_nowait()
                await self.talk.send("r")
            # What the visitor says at once follows without a pause.
            with contextlib.suppress(asyncio.TimeoutError):
                first = await asyncio.wait_for(visitor.read(), 0.02)
                text = json.dumps({"proxy_name": name, "src_addr": "", "error": ""}).encode()
                await work.stream.write(b"s" + struct.pack(">q", len(text)) + text + first)
                return await join(visitor, work.stream)
            await work.send("s", proxy_name=name, src_addr="", error="")
            await join(visitor, work.stream)
        except (OSError, asyncio.TimeoutError, EOFError):
            visitor.close()


async def join(one, other):
    """Until either is at its end: then both are closed, as frp does."""

    async def copy(source, sink):
        with contextlib.suppress(OSError):
            while data := await source.read():
                await sink.write(data)

    ways = [asyncio.create_task(copy(one, other)), asyncio.create_task(copy(other, one))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    one.close()
    other.close()
    for way in ways:
        way.cancel()


async def serve(stream):
    talk = Talk(stream)
    with contextlib.suppress(OSError, EOFError, asyncio.IncompleteReadError):
        kind, body = await talk.receive()
        if kind == "o":
            await Control(talk, body).run()
        elif kind == "w" and is_proven(body) and body.get("run_id") in CONTROLS:
            assert not talk.inbox, "content before the visitor"
            return CONTROLS[body["run_id"]].idle.put_nowait(talk)
    stream.close()


def first_byte(connection):
    connection.settimeout(10)
    first = connection.recv(1, socket.MSG_PEEK)
    if first == b"\x17":
        say("byte 0x17 before TLS")
        connection.recv(1)
    connection.setblocking(False)
    return first


async def accepted(connection):
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, EOFError, asyncio.IncompleteReadError):
        tls = await loop.run_in_executor(None, first_byte, connection) in (b"\x16", b"\x17")
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(SET["cert"], SET["key"])
        say("connection from port", connection.getpeername()[1], "under TLS" if tls else "in clear")
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await (Mux(reader, writer).run() if SET["mux"] else serve(Plain(reader, writer)))
        finally:
            if SET["mux"]:
                writer.close()


async def main():
    listener = socket.create_server((SET["bind"], SET["port"]))
    listener.setblocking(False)
    say("ready")
    tasks = set()
    while True:
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        task = asyncio.create_task(accepted(connection))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
