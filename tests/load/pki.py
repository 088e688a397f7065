"""Certificates of CAs that exist for one run, made by openssl."""

import pathlib
import ssl
import subprocess

EXTENSIONS = """
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:localhost, URI:spiffe://load/{name}
authorityKeyIdentifier = keyid
"""
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]


class Leaf:
    """A certificate and its key, in PEM form."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    def der(self):
        return ssl.PEM_cert_to_DER_cert(self.cert)


def client(kind, ca, leaf=None):
    """A `kind` of client of callers.py that speaks TLS, believes the CA in this file, and shows these two files."""
    context = ssl.create_default_context(cafile=ca)
    if leaf:
        context.load_cert_chain(*leaf)
    context.set_alpn_protocols([kind.protocol])

    class Secure(kind):
        def connect(self, port):
            return context.wrap_socket(super().connect(port), server_hostname="localhost")

    return Secure


class Authority:
    """A CA with a folder for its files."""

    def __init__(self, directory, name):
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir()
        self.issued = 0
        self.openssl("req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", f"/CN={name}",
                     "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.pem = (self.directory / "ca.crt").read_text()

    def issue(self, name):
        """A certificate for `localhost` and the SPIFFE ID `spiffe://load/NAME`, for servers and clients."""
        self.issued += 1
        (self.directory / "extensions").write_text(EXTENSIONS.format(name=name))
        self.openssl("req", "-new", *NEW_KEY, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-out", "leaf.crt", "-days", "7",
                     "-set_serial", str(self.issued), "-extfile", "extensions")
        return Leaf(*((self.directory / file).read_text() for file in ("leaf.crt", "leaf.key")))

    def write(self, leaf, name):
        """Writes `NAME.crt` and `NAME.key`; their paths."""
        paths = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        for path, text in zip(paths, (leaf.cert, leaf.key)):
            path.write_text(text)
        return paths

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)
