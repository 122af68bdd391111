#!/usr/bin/env python3
"""Records what the vendors' own SDKs sign, for tests/sign.rs to play.

    python3 -m venv /tmp/sign && /tmp/sign/bin/pip install -r tests/sign/requirements.txt
    /tmp/sign/bin/python tests/sign/generate.py [SUITE]

For each scheme 200 random requests are made (always the same, by the seed) and signed by the SDK's code, with its
clock held and its nonce given. With SUITE, the folder tests/unit/auth/aws4_testsuite of botocore's repository, the
cases of AWS's test suite are put into one file as well. No SDK sends anything.

The form of a file: blocks parted by empty lines, each with

    > METHOD URL          the request as a provider makes it: its query in any order and loosely encoded
    > Name: value         its headers
    = text                its body
    @ name value          what else the signer is given
    < URL                 as it is to be sent
    < Name: value         the headers that are added

Bodies, and values after `@`, have backslash, line feed, carriage return and other control characters escaped.

What is left out, since the SDK at hand cannot sign it or does it otherwise than its vendor's servers want it:

- everywhere: NUL in names of parameters; bytes that are no UTF-8 (the SDKs take text); Content-Types in upper case.
- acs3: names that need encoding, and names that repeat. The SDK sends names as they are, and takes a dict; lists are
  numbered (`Name.1`). The path is `/`, as all of the RPC style. User-Agent and Accept, which the SDK signs too, are
  not given to it.
- tc3: GET, whose query the SDK signs in the order and form that it happens to have; all of DNSPod's and EdgeOne's
  requests are POST to `/`. X-TC-Region and X-TC-Language, which are sent and not signed.
- huawei: Content-Types other than application/json, for which the SDK signs no body; the DNS API knows no other.
- bce: Content-Length, Content-MD5 and Date, which the SDK would sign as well and which are not ours to add; it is
  told the names of the headers, as it can be. A name repeats at most once (as str and as bytes: it takes a dict).
- volc: repeated names whose values are not sorted, which the SDK leaves as they are: either order is good there;
  ports 80 and 443, which it takes out of the signed host whatever the scheme.
- sigv4: User-Agent, Expect, Transfer-Encoding and X-Amzn-Trace-Id, which botocore never signs; no provider of ours
  sends them.
- rpc_sha1: now.cn, eranet.com and tnet.hk have no SDK. The authority is Alibaba's, whose old scheme it is; only the
  names of the common parameters are theirs. The path is not signed.
"""

import datetime
import importlib.metadata
import json
import pathlib
import random
import sys
from unittest import mock
from urllib.parse import quote, urlencode

COUNT = 200
SEED = 20260102
HERE = pathlib.Path(__file__).parent

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
UNRESERVED = LETTERS + "-_.~"
ODD = " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}" + "\t\n\r\x01\x7f" + "äßé默认ñж€ሴ😀e\u0301\u2028"


def words(rng, low, high, alphabet=None):
    """A random text; without an alphabet, a third of it is odd."""
    out = ""
    for _ in range(rng.randint(low, high)):
        out += rng.choice(alphabet or (ODD if rng.random() < 0.35 else UNRESERVED))
    return out


def loosely(rng, text, keep=""):
    """A text percent-encoded as one may find it: `:` and `,` as they are, needless or lower-case codes now and then."""
    out = ""
    for char in text:
        plain = char in UNRESERVED and rng.random() > 0.05 or char in ":," and rng.random() < 0.7
        code = quote(char, safe="") if char not in UNRESERVED else "%%%02X" % ord(char)
        out += char if plain or char in keep else code.lower() if rng.random() < 0.3 else code
    return out


def utc(now):
    return datetime.datetime.fromtimestamp(now, datetime.timezone.utc)


def basic(now):
    return utc(now).strftime("%Y%m%dT%H%M%SZ")


def iso(now):
    return utc(now).strftime("%Y-%m-%dT%H:%M:%SZ")


class Case:
    """One random request, before it is signed."""

    def __init__(self, rng, names=None, repeats=True, paths=True, method=None, ports=(443, 80, 8443)):
        self.rng = rng
        self.now = rng.randint(1767225600, 4102444799)
        self.key = words(rng, 8, 24, LETTERS)
        self.secret = words(rng, 8, 40, LETTERS + "+/=")
        self.token = words(rng, 8, 40, LETTERS + "+/=") if rng.random() < 0.3 else None
        self.nonce = rng.getrandbits(128).to_bytes(16, "big")
        self.method = method or rng.choice(["GET", "POST", "PUT", "PATCH", "DELETE"])
        self.body = "" if self.method in ("GET", "DELETE") else words(rng, 0, 30)
        self.scheme = rng.choice(["https", "https", "http"])
        labels = [words(rng, 1, 6, LETTERS.lower()) for _ in range(rng.randint(2, 3))]
        self.host = ".".join(labels).lower()
        self.given_host = "".join(rng.choice([c, c, c.upper()]) for c in self.host)
        port = rng.choice([None] * len(ports) + list(ports))
        own = 443 if self.scheme == "https" else 80
        if port is not None:
            self.given_host += ":%d" % port
            if port != own:
                self.host += ":%d" % port
        self.path = "/" + (words(rng, 0, 8) + rng.choice(["", "/", "/x"]) if paths else "")
        self.path = self.path.replace("//", "/")
        self.query = [(words(rng, 1, 5, names), words(rng, 0, 8)) for _ in range(rng.randint(0, 5))]
        if rng.random() < 0.3:
            stem = words(rng, 1, 3, LETTERS)
            self.query += [(stem, "1"), (stem + "-x", "2"), (stem + ".1", "")]
        if repeats and self.query and rng.random() < 0.4:
            again = rng.choice(self.query)[0]
            self.query += [(again, words(rng, 0, 4)) for _ in range(rng.randint(1, 2))]
        if not repeats:
            self.query = list(dict(self.query).items())
        self.headers = []
        self.given_path = None

    def lines(self, sent_query, added, more, extra_query=()):
        """The block of the file."""
        rng = self.rng
        pairs = self.query + list(extra_query)
        rng.shuffle(pairs)
        pieces = []
        for name, value in pairs:
            bare = value == "" and rng.random() < 0.3
            pieces.append(loosely(rng, name) + ("" if bare else "=" + loosely(rng, value)))
        path = self.given_path or loosely(rng, self.path, keep="/")
        given = "%s://%s%s" % (self.scheme, self.given_host, "" if path == "/" and rng.random() < 0.2 else path)
        out = ["> %s %s%s" % (self.method, given, "?" + "&".join(pieces) if pieces else "")]
        out += ["> %s: %s" % header for header in self.headers]
        if self.body:
            out.append("= " + escape(self.body))
        more = {"now": str(self.now), "id": self.key, "secret": self.secret, **more}
        if self.token is not None and "consumer" not in more and "bare" not in more:
            more["token"] = self.token
        more.pop("bare", None)
        out += ["@ %s %s" % (name, escape(value)) for name, value in more.items()]
        sent = "%s://%s%s" % (self.scheme, self.host, path)
        if sent_query is None:
            sent = out[0].split(" ", 2)[2]
        elif sent_query:
            sent += "?" + sent_query
        out.append("< " + sent)
        out += ["< %s: %s" % header for header in added]
        return "\n".join(out)


def escape(text):
    out = ""
    for char in text:
        if char == "\\":
            out += "\\\\"
        elif ord(char) < 32 or ord(char) == 127 or char in "\u0085\u2028\u2029":
            out += "\\u{%x}" % ord(char)
        else:
            out += char
    return out


def write(name, package, cases, note=""):
    version = importlib.metadata.version(package)
    head = "# %s: %d random requests, signed by %s %s.\n" % (name, len(cases), package, version)
    head += "# Recorded on %s by generate.py (seed %d).%s\n" % (datetime.date.today(), SEED, note)
    (HERE / (name + ".txt")).write_text(head + "\n" + "\n\n".join(cases) + "\n", encoding="utf-8", newline="\n")
    print(head, end="")


def acs3():
    from alibabacloud_tea_openapi.utils import Utils, get_canonical_query_string
    from darabonba.request import DaraRequest

    def one(rng):
        case = Case(rng, names=UNRESERVED, repeats=False, paths=False)
        stem = words(rng, 1, 4, LETTERS)
        case.query += [("%s.%d.V" % (stem, n), words(rng, 0, 5)) for n in range(1, rng.choice([1, 1, 3, 12]))]
        case.query = list(dict(case.query).items())
        action, version = words(rng, 3, 12, LETTERS), rng.choice(["2015-01-09", "2024-09-10"])
        if case.body:
            case.headers.append(("Content-Type", rng.choice(["application/json", "application/x-www-form-urlencoded"])))
        if rng.random() < 0.2:
            case.headers.append(("x-acs-region-id", " cn-" + words(rng, 3, 6, LETTERS) + " "))
        payload = Utils.hash(case.body.encode(), "ACS3-HMAC-SHA256").hex()
        added = [
            ("x-acs-action", action),
            ("x-acs-version", version),
            ("x-acs-date", iso(case.now)),
            ("x-acs-signature-nonce", case.nonce.hex()),
            ("x-acs-content-sha256", payload),
        ]
        if case.token is not None:
            added.append(("x-acs-security-token", case.token))
        request = DaraRequest()
        request.method, request.pathname, request.query = case.method, "/", dict(case.query)
        request.headers = {"host": case.host, **dict(case.headers), **dict(added)}
        auth = Utils.get_authorization(request, "ACS3-HMAC-SHA256", payload, case.key, case.secret)
        sent = get_canonical_query_string(request.query)
        more = {"version": version, "nonce": case.nonce.hex()}
        return case.lines(sent, added + [("Authorization", auth)], more, [("Action", action)])

    return "alibabacloud-tea-openapi", one


def tc3():
    from tencentcloud.common import credential
    from tencentcloud.common.abstract_client import AbstractClient
    from tencentcloud.common.http.request import RequestInternal
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile

    def one(rng):
        case = Case(rng, paths=False, method="POST")
        case.query = []
        service, version = rng.choice([("dnspod", "2021-03-23"), ("teo", "2022-09-01")])
        action = words(rng, 1, 1, LETTERS[26:52]) + words(rng, 3, 12, LETTERS)
        profile = ClientProfile(httpProfile=HttpProfile(endpoint=case.host))
        client = AbstractClient(credential.Credential(case.key, case.secret, case.token), "", profile)
        client._apiVersion, client._service = version, service
        request = RequestInternal(case.host, "POST", "/", {})
        options = {}
        if rng.random() < 0.5:
            params = {words(rng, 1, 6, LETTERS): words(rng, 0, 8) for _ in range(rng.randint(0, 4))}
        else:
            options, request.data = {"IsOctetStream": True}, case.body
            params = {}
        with mock.patch("time.time", return_value=case.now):
            client._build_req_with_tc3_signature(action, params, request, options)
        case.body = request.data
        case.headers.append(("Content-Type", request.header["Content-Type"]))
        assert request.header["Host"] == case.host
        names = ["X-TC-Action", "X-TC-Version", "X-TC-Timestamp", "X-TC-Token", "Authorization"]
        added = [(name, request.header[name]) for name in names if name in request.header]
        return case.lines("", added, {"service": service, "version": version}, [("Action", action)])

    return "tencentcloud-sdk-python-common", one


def huawei():
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest

    def one(rng):
        case = Case(rng)
        if case.body or rng.random() < 0.5:
            case.headers.append(("Content-Type", rng.choice(["application/json", "application/json; charset=utf-8"])))
        if rng.random() < 0.2:
            case.headers.append(("X-Project-Id", words(rng, 8, 8, LETTERS)))
        case.given_path = loosely(rng, case.path, keep="/")
        keys = BasicCredentials(case.key, case.secret)
        keys.security_token = case.token
        headers = dict(case.headers) | {"X-Sdk-Date": basic(case.now)}
        request = SdkRequest(case.method, case.scheme, case.host, case.given_path, None, list(case.query), headers)
        request.body = case.body
        signed = keys.sign_request(request)
        query = signed.uri[len(case.given_path):].lstrip("?")
        names = ["X-Sdk-Date", "X-Security-Token", "Authorization"]
        added = [(name, signed.header_params[name]) for name in names if name in signed.header_params]
        return case.lines(query, added, {})

    return "huaweicloudsdkcore", one


def bce():
    from baidubce import utils
    from baidubce.auth import bce_v1_signer
    from baidubce.auth.bce_credentials import BceCredentials

    def one(rng):
        case = Case(rng, repeats=False)
        if case.body or rng.random() < 0.3:
            case.headers.append(("Content-Type", rng.choice(["application/json", "application/json; charset=utf-8"])))
        if rng.random() < 0.2:
            case.headers.append(("x-bce-request-id", words(rng, 8, 20, UNRESERVED + " /:+")))
        added = [("x-bce-security-token", case.token)] if case.token is not None else []
        params = dict(case.query)
        if params and rng.random() < 0.4:
            again = rng.choice(list(params))
            case.query.append((again, words(rng, 0, 4)))
            params[again.encode()] = case.query[-1][1]
        headers = {name.encode(): value.encode() for name, value in case.headers + added}
        headers[b"Host"] = case.host.encode()
        names = sorted(name.lower() for name in headers)
        path = utils.normalize_string(case.path, False)
        keys = BceCredentials(case.key, case.secret)
        auth = bce_v1_signer.sign(keys, case.method.encode(), path, headers, params, case.now, 1800, names)
        query = utils.get_canonical_querystring(params, True).decode()
        return case.lines(query, added + [("Authorization", auth.decode())], {})

    return "bce-python-sdk", one


def volc():
    from volcengine.auth.SignerV4 import SignerV4
    from volcengine.base.Request import Request
    from volcengine.Credentials import Credentials
    from volcengine.util.Util import Util

    def one(rng):
        case = Case(rng, ports=(8443, 8080))
        region, service = rng.choice([("cn-north-1", "DNS"), ("cn-beijing", "iam")])
        if case.method != "GET" or rng.random() < 0.3:
            case.headers.append(("Content-Type", rng.choice(["application/json", "application/json; charset=utf-8"])))
        if rng.random() < 0.2:
            case.headers.append(("X-Custom", words(rng, 1, 9, UNRESERVED + " ,;").strip() or "x"))
        request = Request()
        request.method, request.host, request.path, request.body = case.method, case.host, case.path, case.body
        request.headers = {"Host": case.host, **dict(case.headers)}
        for name, value in sorted(case.query):
            request.query.setdefault(name, []).append(value)
        keys = Credentials(case.key, case.secret, service, region, case.token or "")
        with mock.patch.object(SignerV4, "get_current_format_date", return_value=basic(case.now)):
            SignerV4.sign(request, keys)
        names = ["X-Date", "X-Content-Sha256", "X-Security-Token", "Authorization"]
        added = [(name, request.headers[name]) for name in names if name in request.headers]
        return case.lines(Util.norm_query(request.query), added, {"region": region, "service": service})

    return "volcengine", one


def sigv4():
    import botocore.auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    def one(rng):
        case = Case(rng)
        region, service = rng.choice([("us-east-1", "route53"), ("cn-northwest-1", "route53"), ("eu-west-1", "iam")])
        if case.body:
            case.headers.append(("Content-Type", rng.choice(["application/xml", "text/xml; charset=utf-8"])))
        for _ in range(rng.randint(0, 2)):
            name = rng.choice(["X-Amz-Meta", "My-Header", "Accept", "x-lower"])
            case.headers.append((name, words(rng, 1, 12, UNRESERVED + "   \"/;,")))
        if rng.random() < 0.15:
            case.path += rng.choice(["/./a", "/../b", "//", "/.."])
        case.given_path = loosely(rng, case.path, keep="/")
        url = "%s://%s%s" % (case.scheme, case.given_host, case.given_path)
        request = AWSRequest(case.method, url, data=case.body.encode(), params=list(case.query))
        for name, value in case.headers:
            request.headers[name] = value
        keys = Credentials(case.key, case.secret, case.token)
        signer = botocore.auth.SigV4Auth(keys, service, region)
        with mock.patch("botocore.auth.get_current_datetime", return_value=utc(case.now)):
            signer.add_auth(request)
        names = ["X-Amz-Date", "X-Amz-Security-Token", "Authorization"]
        added = [(name, request.headers[name]) for name in names if name in request.headers]
        return case.lines(signer.canonical_query_string(request), added, {"region": region, "service": service})

    return "botocore", one


def rpc_sha1():
    from aliyunsdkcore.auth.composer import rpc_signature_composer as composer

    text, sign, encode = (
        getattr(composer, name) for name in ("__compose_string_to_sign", "__get_signature", "__pop_standard_urlencode")
    )

    class Pairs(list):
        """What the SDK takes for a dict, and may hold a name twice."""

        def items(self):
            return list(self)

    def one(rng):
        case = Case(rng)
        common = [
            ("AccessInstanceID", case.key),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", case.nonce.hex()),
            ("Timestamp", iso(case.now)),
        ]
        pairs = Pairs(sorted(case.query + common))
        signature = sign(text(case.method, pairs), case.secret)
        sent = encode(urlencode(sorted(pairs) + [("Signature", signature)]))
        return case.lines(sent, [], {"nonce": case.nonce.hex(), "bare": ""})

    return "aliyun-python-sdk-core", one


def ovh():
    import ovh as sdk

    def one(rng):
        case = Case(rng)
        consumer = words(rng, 8, 24, LETTERS)
        path = loosely(rng, case.path, keep="/")
        query = urlencode(case.query)
        case.scheme, case.given_host = "https", "eu.api.ovh.com"
        case.query, case.given_path = [], "/1.0" + path + ("?" + query if query else "")
        data = None
        if case.body:
            data = {words(rng, 1, 5): words(rng, 0, 9) for _ in range(rng.randint(0, 3))}
        keys = dict(application_key=case.key, application_secret=case.secret, consumer_key=consumer)
        client = sdk.Client(endpoint="ovh-eu", **keys)
        client._time_delta = 0
        seen = {}
        client._session.request = lambda method, url, headers, data, timeout: seen.update(
            url=url, headers=headers, body=data
        )
        with mock.patch("time.time", return_value=case.now):
            client.raw_call(case.method, path + ("?" + query if query else ""), data)
        case.body = seen["body"]
        given = "https://eu.api.ovh.com" + case.given_path
        assert seen["url"] == given, (seen["url"], given)
        if "Content-type" in seen["headers"]:
            case.headers.append(("Content-type", seen["headers"]["Content-type"]))
        names = ["X-Ovh-Application", "X-Ovh-Consumer", "X-Ovh-Timestamp", "X-Ovh-Signature"]
        added = [(name, seen["headers"][name]) for name in names]
        return case.lines(None, added, {"consumer": consumer})

    return "ovh", one


def suite(folder):
    """AWS's test suite in one file."""
    cases = []
    for request in sorted(folder.rglob("*.req")):
        stem = request.with_suffix("")
        part = lambda end: stem.with_suffix(end).read_text(encoding="utf-8").replace("\r", "")
        head, _, body = part(".req").partition("\n\n")
        first, *headers = head.replace("\n ", "\x00 ").rstrip("\n").split("\n")
        headers = [header.replace("\x00", "\n") for header in headers]
        method, target = first.removesuffix(" HTTP/1.1").split(" ", 1)
        lines = ["# " + stem.parent.relative_to(folder).as_posix(), "> %s %s" % (method, target)]
        lines += ["> " + escape(header) for header in headers]
        if body:
            lines.append("= " + escape(body))
        lines += [("c " + line).rstrip() for line in part(".creq").split("\n")]
        lines += ["s " + line for line in part(".sts").split("\n")]
        cases.append("\n".join(lines + ["< Authorization: " + part(".authz")]))
    head = (
        "# AWS Signature Version 4 Test Suite\n"
        "# Copyright 2019 Amazon.com, Inc. or its affiliates. All Rights Reserved.\n"
        "# Licensed under the Apache License, Version 2.0, see LICENSE-aws4_testsuite beside this file.\n"
        "# Changed: its %d cases were put into one file by generate.py on %s. `>` and `=` are the request (.req), `c` the\n"
        "# canonical request (.creq), `s` the string to sign (.sts), `<` what is added (.authz).\n"
    ) % (len(cases), datetime.date.today())
    (HERE / "aws4_testsuite.txt").write_text(head + "\n" + "\n\n".join(cases) + "\n", encoding="utf-8", newline="\n")
    print(head, end="")


def main():
    for scheme in (acs3, tc3, huawei, bce, volc, sigv4, rpc_sha1, ovh):
        package, one = scheme()
        rng = random.Random("%d %s" % (SEED, scheme.__name__))
        write(scheme.__name__, package, [one(rng) for _ in range(COUNT)])
    if len(sys.argv) > 1:
        suite(pathlib.Path(sys.argv[1]))


if __name__ == "__main__":
    main()
