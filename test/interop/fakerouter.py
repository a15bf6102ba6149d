"""Drives the fake router by librouteros, a client that is not ours: login, print with a query, add, set, remove, errors."""
import sys

from librouteros import connect
from librouteros.exceptions import TrapError
from librouteros.login import plain, token
from librouteros.query import Key

port, old = int(sys.argv[1]), sys.argv[2] == "token"
login = token if old else plain


def refused(what, *want):
    try:
        what()
    except TrapError as e:
        for text in want:
            assert text in str(e), f"want {text!r} in {e}"
        return
    raise AssertionError(f"not refused: want {want}")


refused(lambda: connect(host="127.0.0.1", username="admin", password="falsch", port=port, login_method=login), "cannot log in" if old else "invalid user name or password (6)")
api = connect(host="127.0.0.1", username="admin", password="geheim", port=port, login_method=login)
assert [r["name"] for r in api("/system/identity/print")] == ["MikroTik"]
secret = api.path("ppp", "secret")
assert list(secret) == []
first = secret.add(name="alice", password="p=w", service="pppoe", **{"remote-address": "10.0.0.9", "limit-bytes-in": 2**40})
second = secret.add(name="bob", service="l2tp", profile="default-encryption")
name, profile, service = Key("name"), Key("profile"), Key("service")
assert list(secret.select(name, profile).where(service == "pppoe")) == [{"name": "alice", "profile": "default"}]
assert [r["name"] for r in secret.select(name).where(service.In("pppoe", "l2tp"), name != "alice")] == ["bob"]
secret.update(**{".id": first, "disabled": True, "comment": "two words"})
row = [r for r in secret if r[".id"] == first][0]
assert (row["disabled"], row["comment"], row["password"], row["limit-bytes-in"]) == (True, "two words", "p=w", 2**40), row
refused(lambda: secret.add(name="alice", service="pppoe"), "failure: secret with the same name already exists")
refused(lambda: secret.add(name="x", profile="nope"), "input does not match any value of profile")
refused(lambda: secret.add(name="x", foo="1"), "unknown parameter foo")
refused(lambda: secret.add(password="x"), "missing value(s) of argument(s) name")
refused(lambda: tuple(api("/no/such/print")), "no such command prefix")
secret.remove(first, second)
assert list(secret) == []
refused(lambda: secret.remove(first), "no such item")
api.close()
