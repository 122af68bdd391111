"""Stands in for nine messengers, one request at a time: reads it as JSON, prints the status and the body of the answer.

Each is checked after its vendor's document (the pages that src/notify/channels.rs names) with Python's own hmac, base64,
json and urllib, so that no line of the agent judges the agent. Refusals are worded as the vendors do.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from urllib.parse import parse_qs, unquote, urlsplit

request = json.load(sys.stdin)
secrets = json.loads(sys.argv[1])
headers = dict(request["headers"])
parts = urlsplit(request["target"])
path, query = parts.path, {key: values[0] for key, values in parse_qs(parts.query, strict_parsing=False).items()}
body = request["body"]


def answer(status, text):
    print(status)
    print(text if isinstance(text, str) else json.dumps(text))
    sys.exit()


def sent_json(refused):
    """The body, if it is a JSON object that says that it is one."""
    try:
        found = json.loads(body)
    except ValueError:
        answer(*refused)
    if not headers.get("content-type", "").startswith("application/json") or not isinstance(found, dict):
        answer(*refused)
    return found


def signed(key, text):
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def is_text(value):
    return isinstance(value, str) and "Lab: " in value and "\n" in value


def ntfy():
    if headers.get("authorization") != "Bearer " + secrets["ntfy_token"]:
        answer(401, {"code": 40101, "http": 401, "error": "unauthorized"})
    if path != "/" + secrets["topic"] or not query.get("title", "").startswith("Lab: ") or not body:
        answer(400, {"code": 40009, "http": 400, "error": "invalid request: " + path})
    message = {"id": "sPs71M8A2T", "time": int(time.time()), "event": "message", "topic": path[1:]}
    answer(200, dict(message, message=body, title=query["title"]))


def telegram():
    if unquote(path) != "/bot%s/sendMessage" % secrets["bot"]:
        answer(404, {"ok": False, "error_code": 404, "description": "Not Found"})
    found = sent_json((400, {"ok": False, "error_code": 400, "description": "Bad Request: can't parse"}))
    if found.get("chat_id") != secrets["chat"]:
        answer(400, {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"})
    if not is_text(found.get("text")) or len(found["text"]) > 4096:
        answer(400, {"ok": False, "error_code": 400, "description": "Bad Request: message text is empty"})
    answer(200, {"ok": True, "result": {"message_id": 5}})


def bark():
    refused = 400, {"code": 400, "message": "request bind failed", "timestamp": int(time.time())}
    found = sent_json(refused)
    if path != "/push" or not found.get("title") or not found.get("body"):
        answer(*refused)
    if found.get("device_key") != secrets["bark"]:
        answer(400, {"code": 400, "message": "failed to get device token: %s" % found.get("device_key")})
    answer(200, {"code": 200, "message": "success", "timestamp": int(time.time())})


def dingtalk():
    if path != "/robot/send" or query.get("access_token") != secrets["ding"]:
        answer(200, {"errcode": 300001, "errmsg": "token is not exist"})
    stamp = query.get("timestamp", "0")
    if abs(int(stamp) / 1000 - time.time()) > 3600:
        answer(200, {"errcode": 310000, "errmsg": "invalid timestamp"})
    if query.get("sign") != signed(secrets["ding_secret"], stamp + "\n" + secrets["ding_secret"]):
        answer(200, {"errcode": 310000, "errmsg": "sign not match"})
    found = sent_json((200, {"errcode": 40035, "errmsg": "not a json"}))
    if found.get("msgtype") != "text" or not is_text(found.get("text", {}).get("content")):
        answer(200, {"errcode": 400105, "errmsg": "unsupported msgtype"})
    answer(200, {"errcode": 0, "errmsg": "ok"})


def feishu():
    if path != "/open-apis/bot/v2/hook/" + secrets["feishu"]:
        answer(200, {"code": 19001, "data": {}, "msg": "param invalid: incoming webhook access token invalid"})
    found = sent_json((400, {"code": 9499, "msg": "Bad Request", "data": {}}))
    stamp = found.get("timestamp", "0")
    good = signed(stamp + "\n" + secrets["feishu_secret"], "")
    if abs(int(stamp) - time.time()) > 3600 or found.get("sign") != good:
        answer(200, {"code": 19021, "data": {}, "msg": "sign match fail or timestamp is not within one hour"})
    if found.get("msg_type") != "text" or not is_text(found.get("content", {}).get("text")):
        answer(200, {"code": 19002, "data": {}, "msg": "params error, msg_type need"})
    answer(200, {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"})


def serverchan():
    form = {key: values[0] for key, values in parse_qs(body).items()}
    if path != "/%s.send" % secrets["sendkey"]:
        answer(400, {"message": "[AUTH]错误的Key", "code": 40001, "info": "错误的Key", "args": [None], "scode": 461})
    if headers.get("content-type") != "application/x-www-form-urlencoded" or len(form.get("title", "x" * 33)) > 32:
        answer(400, {"message": "[INPUT]bad title", "code": 40002})
    if "\n\n" not in form.get("desp", "") and "test" not in form["title"]:
        answer(400, {"message": "lines would run together", "code": 40003})
    answer(200, {"code": 0, "message": "", "data": {"pushid": "1", "readkey": "x", "error": "SUCCESS", "errno": 0}})


def discord():
    if path != "/api/webhooks/1234/" + secrets["discord"]:
        answer(404, {"message": "Unknown Webhook", "code": 10015})
    found = sent_json((400, {"message": "Cannot send an empty message", "code": 50006}))
    if not is_text(found.get("content")) or len(found["content"]) > 2000:
        answer(400, {"message": "Cannot send an empty message", "code": 50006})
    if found.get("allowed_mentions") != {"parse": []}:
        answer(400, {"message": "whoever is named would be called", "code": 50035})
    answer(204, "")


def slack():
    if path != "/services/T0000/B0000/" + secrets["slack"]:
        answer(404, "no_service")
    found = sent_json((400, "invalid_payload"))
    answer(*((200, "ok") if is_text(found.get("text")) else (400, "no_text")))


def hook():
    if request["method"] != "PUT" or path != "/in/" + secrets["hook"] or headers.get("x-key") != secrets["hook_key"]:
        answer(403, "who are you?")
    found = sent_json((400, "not JSON"))
    answer(*((202, "") if set(found) == {"what", "say", "who"} and found["what"] else (400, "what?")))


def dead():
    answer(503, "in trouble")


globals()[headers["host"].split(".")[0]]()
