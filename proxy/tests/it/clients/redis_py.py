"""redis-py, unmodified, against a proxy. Talks with the test over stdin and stdout."""

import faulthandler
import os
import sys

import redis

# A script that hangs says where, and ends.
faulthandler.dump_traceback_later(120, exit=True)

HOST, PORT = os.environ["PROXY"].rsplit(":", 1)
PASSWORD = os.environ.get("PASSWORD") or None


def client(**options):
    options = {"host": HOST, "port": int(PORT), "password": PASSWORD, **options}
    return redis.Redis(**{key: value for key, value in options.items() if value is not None})


def ask(what):
    """Lets the test do something to the proxy, and waits until it is done."""
    print(what, flush=True)
    assert sys.stdin.readline().strip() == "done"


def commands(r):
    assert r.ping() is True
    assert r.set("k", "v") is True and r.get("k") == b"v"
    assert r.hset("h", mapping={"a": 1, "b": 2}) == 2
    assert r.hgetall("h") == {b"a": b"1", b"b": b"2"}
    assert r.zadd("z", {"m": 1.5}) == 1
    pairs = [(member, score) for member, score in r.zrange("z", 0, -1, withscores=True)]
    assert pairs == [(b"m", 1.5)], pairs
    assert r.sadd("s", "x", "y") == 2 and r.smembers("s") == {b"x", b"y"}
    assert r.get("none") is None
    assert r.mset({f"m{n}": n for n in range(100)}) is True
    assert r.mget([f"m{n}" for n in range(100)]) == [str(n).encode() for n in range(100)]
    assert r.delete(*[f"m{n}" for n in range(100)]) == 100
    assert r.eval("return {KEYS[1], ARGV[1]}", 1, "k", "a") == [b"k", b"a"]
    assert list(r.hscan_iter("h")) == [(b"a", b"1"), (b"b", b"2")]
    try:
        r.keys("*")
        raise AssertionError("KEYS went through")
    except redis.ResponseError as error:
        assert "not allowed" in str(error)
    big = os.urandom(8 * 1024 * 1024)
    assert r.set("big", big) and r.get("big") == big


def pipelines(r):
    with r.pipeline(transaction=False) as pipe:
        for n in range(5000):
            pipe.set(f"p{n}", n)
            pipe.get(f"p{n}")
        replies = pipe.execute()
    assert replies == [x for n in range(5000) for x in (True, str(n).encode())]
    with r.pipeline(transaction=False) as pipe:
        pipe.set("k", "v").lpush("k", 1).get("k")
        first, error, last = pipe.execute(raise_on_error=False)
    assert first is True and isinstance(error, redis.ResponseError) and last == b"v"


def reconnects():
    r = client(health_check_interval=1)
    assert r.set("before", 1)
    connection = r.connection_pool.get_connection()
    connection._sock.close()
    r.connection_pool.release(connection)
    assert r.get("before") == b"1", "after the socket was closed under the client"
    ask("RESTART")
    assert r.get("before") == b"1", "after the proxy was restarted"
    assert r.incr("after") == 1


plain = client()
commands(plain)
pipelines(plain)
named = client(client_name="proof", db=1, decode_responses=True)
assert named.client_getname() == "proof" and named.client_id() > 0
assert named.client_info()["resp"] == "3"
assert named.set("k", "one") and named.get("k") == "one" and plain.get("k") == b"v"
if PASSWORD:
    user = client(username="default")
    assert user.ping() is True
    for options in ({"password": "wrong"}, {"password": None}):
        wrong = redis.Redis(host=HOST, port=int(PORT), **options)
        try:
            wrong.ping()
            raise AssertionError("served without the password")
        except (redis.AuthenticationError, redis.ResponseError) as error:
            print(f"refused: {error}", file=sys.stderr)
reconnects()
print(f"finished with redis-py {redis.__version__}", flush=True)
