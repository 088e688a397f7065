#!/bin/sh
# Makes the certificates of this example: a CA, a server `localhost`, and a caller with a SPIFFE ID. They are valid
# for a hundred years, and everybody has their keys: they are for trying things out, and for nothing else.
set -eu
cd "$(dirname "$0")"
new_key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc"

openssl req -x509 $new_key -keyout ca.key -out ca.crt -days 36500 -subj "/CN=example CA" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"

leaf() { # NAME SUBJECT SUBJECT-ALT-NAME USAGE
    openssl req $new_key -keyout "$1.key" -out "$1.csr" -subj "/CN=$2"
    printf 'subjectAltName=%s\nextendedKeyUsage=%s\n' "$3" "$4" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 36500 -extfile "$1.ext"
    rm "$1.csr" "$1.ext"
}
leaf server localhost "DNS:localhost,IP:127.0.0.1,URI:spiffe://example.org/server" serverAuth
leaf caller caller "URI:spiffe://example.org/caller" clientAuth
rm ca.key ca.srl
