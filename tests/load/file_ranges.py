"""What nginx answers to headers `Range` on a file of 100 bytes: prints the table of tests/it/files/ranges.txt."""

import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import harness

CONFIG = """
daemon off; pid {directory}/pid; error_log {directory}/error.log;
events {{}}
http {{
  access_log off; client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{ listen 127.0.0.1:{port}; root {directory}/files; }}
}}
"""
ONE = ["0-0", "0-9", "10-19", "99-99", "0-99", "0-100", "0-1000", "90-1000", "50-", "0-", "99-", "100-", "101-", "1000-2000",
       "-1", "-10", "-99", "-100", "-101", "-1000", "-0", "5-4", "50-0", "1-0", "0-00", "007-9", " 0-9", "0-9 ", "0 - 9", "- 5",
       "0- 9", "-", "--5", "5", "a-9", "0-a", "0-9a", "0x1-9", "+1-9", "-+5", "0-9-", "0--9", "", "18446744073709551615-",
       "9223372036854775807-", "0-9223372036854775806", "0-9223372036854775807", "0-99999999999999999999",
       "99999999999999999999-", "-9223372036854775807"]
SEVERAL = ["0-0,2-2", "0-0, 2-2", "2-2,0-0", "0-9,5-14", "0-9,0-9", "0-59,0-59", "-1,0-0", "0-0,-1", "0-0,200-300", "200-300,0-0",
           "200-300,400-500", "0-0,5-4", "5-4,0-0", "0-0,", ",0-0", "0-0,,2-2", "0-0,a", "0-49,50-99", "0-99,0-0",
           "0-0,2-2,4-4,6-6,8-8", ",".join(f"{at}-{at}" for at in range(64)), ",".join(f"{at}-{at}" for at in range(65))]
WHOLE = ["Bytes=0-9", "BYTES=0-9", "bytes =0-9", "bytes= 0-9", "bytes:0-9", "items=0-9", "byte=0-9", "bytes", "0-9", "none",
         "bytes=0-9;x", "bytes=0-9 bytes=10-19"]


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="nginx-"))
    directory.chmod(0o755)
    (directory / "files").mkdir()
    (directory / "files/100").write_bytes(bytes(range(100)))
    port = harness.free_port()
    (directory / "config").write_text(CONFIG.format(directory=directory, port=port))
    process = subprocess.Popen(["nginx", "-c", directory / "config"], stderr=subprocess.DEVNULL)
    try:
        harness.eventually("nginx accepts", lambda: harness.accepts(port))
        for value in [f"bytes={one}" for one in ONE + SEVERAL] + WHOLE:
            print(f"{value} | {ask(port, value)}")
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory)


def ask(port, value):
    """The status, and the ranges of the answer in their order."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET /100 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: {value}\r\n\r\n".encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    ranges = re.findall(rb"content-range: bytes (\S+)", answer, re.IGNORECASE)
    return " ".join([answer.split()[1].decode(), *(one.decode() for one in ranges)])


if __name__ == "__main__":
    main()
