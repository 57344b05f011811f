#!/bin/sh
# Makes a CA, a serving pair and a client pair for a server on your own machine: nothing for a
# cluster that matters. Needs openssl 1.1.1 or newer.
set -eu

usage() {
    cat >&2 <<USAGE
usage: ${0##*/} [--service-name NAME] [--namespace NAMESPACE] [--client-name NAME] FOLDER

Writes into FOLDER, which is made if it is not there:
  ca.crt ca.key          the CA
  tls.crt tls.key        the webhook's pair: localhost, 127.0.0.1, ::1 and the Service's names
  client.crt client.key  the API server's pair, for --client-ca and --client-name
Nothing that is there is overwritten. Everything is valid for a year.
USAGE
    exit "${1:-2}"
}

fail() {
    echo "${0##*/}: $1" >&2
    exit 1
}

service=pod-identity-webhook
namespace=eks
client=kube-apiserver
folder=
days=365

while [ $# -gt 0 ]; do
    case $1 in
        --service-name=* | --namespace=* | --client-name=*)
            flag=${1%%=*}
            value=${1#*=}
            shift
            ;;
        --service-name | --namespace | --client-name)
            [ $# -gt 1 ] || fail "$1 needs a value"
            flag=$1
            value=$2
            shift 2
            ;;
        -h | --help) usage 0 ;;
        -*) fail "unknown flag $1: see --help" ;;
        *)
            [ -z "$folder" ] || fail "one folder is enough: $folder, $1"
            folder=$1
            shift
            continue
            ;;
    esac
    # What goes into openssl's configuration below must not be able to say anything else there.
    case $value in
        '' | *[!A-Za-z0-9.:-]*) fail "invalid value \"$value\" for $flag: give letters, digits, dots, dashes and colons" ;;
    esac
    case $flag in
        --service-name) service=$value ;;
        --namespace) namespace=$value ;;
        --client-name) client=$value ;;
    esac
done
[ -n "$folder" ] || usage
command -v openssl >/dev/null || fail "openssl is missing: install it"
# Common names have 64 characters at most (RFC 5280, appendix A.1, ub-common-name).
[ "${#client}" -le 64 ] || fail "the name $client is longer than 64 characters"

files="ca.crt ca.key tls.crt tls.key client.crt client.key"
for file in $files; do
    [ ! -e "$folder/$file" ] || fail "$folder/$file is there already: give another folder, or remove it"
done

umask 077
mkdir -p "$folder"
# Made beside, so that nothing is there if openssl fails.
new=$(mktemp -d "$folder/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM

cat >"$new/openssl.cnf" <<CONFIG
[req]
distinguished_name = name
prompt = no
[name]
CN = unnamed
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[serving]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = @names
[names]
DNS.1 = localhost
DNS.2 = $service
DNS.3 = $service.$namespace
DNS.4 = $service.$namespace.svc
DNS.5 = $service.$namespace.svc.cluster.local
IP.1 = 127.0.0.1
IP.2 = ::1
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CONFIG

# Prints openssl's output only where it failed.
quietly() {
    "$@" >"$new/log" 2>&1 || {
        cat "$new/log" >&2
        fail "openssl failed, see above"
    }
}

make_key() {
    quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$new/$1.key"
}

# issue FILE SUBJECT SECTION
issue() {
    make_key "$1"
    quietly openssl req -new -config "$new/openssl.cnf" -key "$new/$1.key" -subj "$2" \
        -out "$new/$1.csr"
    quietly openssl x509 -req -sha256 -days "$days" -in "$new/$1.csr" -CA "$new/ca.crt" \
        -CAkey "$new/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
        -extfile "$new/openssl.cnf" -extensions "$3" -out "$new/$1.crt"
}

make_key ca
quietly openssl req -new -x509 -sha256 -days "$days" -config "$new/openssl.cnf" -extensions ca \
    -key "$new/ca.key" -subj "/CN=pod-identity-webhook development" \
    -set_serial "0x$(openssl rand -hex 16)" -out "$new/ca.crt"
issue tls "/CN=webhook" serving
issue client "/CN=$client" client

# Without clobbering, whoever was faster.
set -C
for file in $files; do
    cat "$new/$file" >"$folder/$file" || fail "$folder/$file cannot be written"
done

# The folder as a shell reads it back, whatever is in its name.
quoted=\'$(printf '%s' "$folder" | sed "s/'/'\\\\''/g")\'
cat <<NEXT
Made a CA, a serving pair and a client pair, valid for $days days.

Serve, with the cluster of your kubeconfig:
  pod-identity-webhook --in-cluster=false --bind-address=127.0.0.1 --port=8443 --tls-cert=$quoted/tls.crt --tls-key=$quoted/tls.key --client-ca=$quoted/ca.crt --client-name=$client

Ask it, as the API server would (400: the empty object is no review; without --cert: 403):
  curl --cacert $quoted/ca.crt --cert $quoted/client.crt --key $quoted/client.key -H 'Content-Type: application/json' -d '{}' https://localhost:8443/mutate

For the caBundle of a webhook configuration:
  openssl base64 -A -in $quoted/ca.crt
NEXT
