#!/usr/bin/env python3
"""A client of runloopd, written from docs/protocol.md alone. Needs Python 3.9 and python3-msgpack.

    runloop_client.py [--socket PATH] [--token-file PATH] ping
    runloop_client.py ... sub TOPIC [--count N]
    runloop_client.py ... pub TOPIC JSON
    runloop_client.py ... call OP [JSON]
    runloop_client.py ... follow TRACE_ID
"""
import argparse
import json
import os
import socket
import struct
import sys
import time

import msgpack

# Prefix and header; see "Frames".
HEADER = struct.Struct(">I4sHHIHHIQQ16sQI")
CONTROL, ERROR, SUBSCRIBE, ACK = 9, 10, 16, 18
HELLO, WELCOME, REQUEST, RESPONSE = 100, 101, 2001, 2002
TYPES = {
    1: "observation.generic.v1",
    CONTROL: "intent.control.v1",
    SUBSCRIBE: "intent.bus.subscribe.v1",
    HELLO: "observation.agent.hello.v1",
    REQUEST: "intent.ctrl.request.v1",
}


class RunloopError(Exception):
    """What an error.report said."""

    def __init__(self, report):
        super().__init__(f"{report.get('code')}: {report.get('message')}")
        self.code = report.get("code")
        self.details = report.get("details") or {}


class Frame:
    def __init__(self, schema_id, trace_id, msg_id, body):
        self.schema_id, self.trace_id, self.msg_id = schema_id, trace_id, msg_id
        self.type = body["type"]
        self.payload = body.get("payload")
        self.meta = body.get("meta") or {}


class Client:
    def __init__(self, path, token=None, kind="sdk", name="python"):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(path)
        # Another connection's numbers must not come back: they would be duplicates.
        self.msg_id = int(time.time() * 1000) * 1024
        self.waiting = []
        self.subs = 0
        hello = {"v": 1, "kind": kind, "name": name}
        if token is not None:
            self._check_server()
            hello["token"] = token
        self.welcome = self._ask(HELLO, hello).payload

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _check_server(self):
        cred = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _pid, uid, _gid = struct.unpack("3i", cred)
        if uid != os.getuid():
            raise PermissionError(f"the daemon runs under uid {uid}: the token was not sent")

    def send(self, schema_id, payload, meta=None, trace_id=None, ttl_ms=30_000):
        self.msg_id += 1
        body = {"type": TYPES[schema_id], "payload": payload}
        if meta:
            body["meta"] = meta
        packed = msgpack.packb(body, use_bin_type=True)
        now_ms = int(time.time() * 1000)
        trace = bytes.fromhex(trace_id) if trace_id else os.urandom(16)
        head = HEADER.pack(64 + len(packed), b"RMP0", 0, 64, 0, schema_id, 0, len(packed), now_ms, ttl_ms, trace, self.msg_id, 0)
        self.socket.sendall(head + packed)
        return self.msg_id

    def _exactly(self, count):
        parts = []
        while count > 0:
            part = self.socket.recv(min(count, 65536))
            if not part:
                raise ConnectionError("the daemon closed the connection")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def receive(self):
        head = HEADER.unpack(self._exactly(HEADER.size))
        frame_len, magic, schema_id, body_len, trace, msg_id = head[0], head[1], head[5], head[7], head[10], head[11]
        if magic != b"RMP0" or frame_len != 64 + body_len:
            raise ConnectionError("what answers is no daemon")
        return Frame(schema_id, trace.hex(), msg_id, msgpack.unpackb(self._exactly(body_len), raw=False, strict_map_key=False))

    def _ask(self, schema_id, payload, meta=None, trace_id=None):
        """Sends, and waits for the daemon's own answer; what was published meanwhile is kept."""
        msg_id = self.send(schema_id, payload, meta, trace_id)
        while True:
            frame = self.receive()
            if "topic" in frame.meta:
                self.waiting.append(frame)
            elif frame.schema_id == ERROR and frame.meta.get("in_reply_to", msg_id) == msg_id:
                raise RunloopError(frame.payload)
            elif frame.meta.get("in_reply_to") == msg_id:
                return frame

    def ping(self):
        return self._ask(CONTROL, {"v": 1, "op": "ping"}).payload["op"]

    def subscribe(self, topic, queue=None):
        self.subs += 1
        payload = {"v": 1, "sub": self.subs, "topic": topic}
        if queue is not None:
            payload["queue"] = queue
        self._ask(SUBSCRIBE, payload, {"ack": True})

    def publish(self, topic, payload, schema_id=1):
        """How many took it."""
        return self._ask(schema_id, payload, {"topic": topic, "ack": True}).payload["delivered"]

    def messages(self):
        while True:
            if self.waiting:
                yield self.waiting.pop(0)
                continue
            frame = self.receive()
            if frame.schema_id == ERROR and "topic" not in frame.meta:
                raise RunloopError(frame.payload)
            if "topic" in frame.meta:
                yield frame

    def call(self, op, args=None, trace_id=None):
        return self._ask(REQUEST, {"v": 1, "op": op, "args": args or {}}, {"topic": "rlp/ctrl"}, trace_id).payload["result"]

    def follow(self, trace_id, after_seq=0):
        while True:
            answer = self.call("run.events", {"trace_id": trace_id, "after_seq": after_seq, "max": 500, "wait_ms": 20_000})
            for event in answer["events"]:
                after_seq = max(after_seq, event.get("seq", after_seq))
                yield event
                if event["kind"] == "run.finished":
                    return
            if answer["done"]:
                return


def main():
    home = os.environ.get("RUNLOOP_HOME", os.path.expanduser("~/.runloop"))
    parser = argparse.ArgumentParser(description="A client of runloopd.")
    parser.add_argument("--socket", default=os.path.join(home, "sock", "rmp.sock"))
    parser.add_argument("--token-file")
    parser.add_argument("--kind", default="cli")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ping")
    sub = commands.add_parser("sub")
    sub.add_argument("topic")
    sub.add_argument("--count", type=int, default=0)
    pub = commands.add_parser("pub")
    pub.add_argument("topic")
    pub.add_argument("json")
    call = commands.add_parser("call")
    call.add_argument("op")
    call.add_argument("json", nargs="?", default="{}")
    follow = commands.add_parser("follow")
    follow.add_argument("trace_id")
    args = parser.parse_args()
    token = None
    if args.token_file:
        with open(args.token_file, encoding="ascii") as file:
            token = file.read().strip()
    show = lambda value: print(json.dumps(value, sort_keys=True, default=repr), flush=True)
    try:
        with Client(args.socket, token, args.kind) as client:
            if args.command == "ping":
                show({"answer": client.ping(), "kind": client.welcome["kind"]})
            elif args.command == "sub":
                client.subscribe(args.topic)
                print("subscribed", file=sys.stderr, flush=True)
                for count, message in enumerate(client.messages(), 1):
                    show({"topic": message.meta["topic"], "type": message.type, "payload": message.payload})
                    if count == args.count:
                        break
            elif args.command == "pub":
                show({"delivered": client.publish(args.topic, json.loads(args.json))})
            elif args.command == "call":
                show(client.call(args.op, json.loads(args.json)))
            else:
                for event in client.follow(args.trace_id):
                    show(event)
    except RunloopError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"no daemon at {args.socket}: {error}")


if __name__ == "__main__":
    main()
