"""Opens many connections to a proxy, sends PING over each, and tells how many were served.

    python3 crowd.py HOST PORT COUNT SOURCE-ADDRESS

Prints `open` once all are open, waits for a line, prints `<served> <refused>`, waits for the end
of its input, and closes them all.
"""

import resource
import socket
import sys

host, port, count, source = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
if most != resource.RLIM_INFINITY and most < count + 50:
    sys.exit(f"{count + 50} open files are needed, {most} are allowed: raise ulimit -Hn")

crowd = []
for _ in range(count):
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.bind((source, 0))
    one.connect((host, port))
    crowd.append(one)
print("open", flush=True)
sys.stdin.readline()

served = refused = 0
for one in crowd:
    one.settimeout(30)
    try:
        one.sendall(b"PING\r\n")
        told = one.recv(256)
    except OSError:
        # The end overtook the text.
        told = b""
    if told == b"+PONG\r\n":
        served += 1
    elif told == b"" or b"max number of clients reached" in told:
        refused += 1
    else:
        sys.exit(f"a connection was told {told!r}")
print(served, refused, flush=True)
sys.stdin.read()
