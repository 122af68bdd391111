"""Writes `signatures`: what the robots of DingTalk and Feishu expect, by Python's own hmac, after the vendors' documents.

DingTalk: key the secret, text "<milliseconds>\\n<secret>". Feishu: key "<seconds>\\n<secret>", text empty. Both in base64.
<https://open.dingtalk.com/document/robots/customize-robot-security-settings>
<https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>
"""

import base64
import hashlib
import hmac
import random

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_ é默"


def code(key, text):
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


rng = random.Random(7)
cases = [("this is secret", 1767323045), ("demo", 1767225600)]
for _ in range(60):
    secret = "SEC" + "".join(rng.choice(ALPHABET) for _ in range(rng.randint(1, 80)))
    cases.append((secret.strip(), rng.randint(1767225600, 4102444799)))
with open("signatures", "w") as out:
    for secret, now in cases:
        ding = code(secret, "%d000\n%s" % (now, secret))
        feishu = code("%d\n%s" % (now, secret), "")
        out.write("\t".join([secret, str(now), ding, feishu]) + "\n")
