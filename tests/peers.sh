#!/bin/bash
# Installs the programs that the tests talk to, where that can be done: as root on
# Debian and its children. Elsewhere it names what is missing, and the tests of
# those peers skip (or fail, with IMAPAUTHD_PEERS=require).
#
# Nothing that is installed here is started: the tests run their own Exim and
# Dovecot, on ports and in folders of their own.
set -euo pipefail

# A program that tells whether a package is there, and the package. The Perl
# module is what swaks needs for TLS; systemd-analyze judges the README's unit.
peers="exim4:exim4-daemon-heavy dovecot:dovecot-imapd swaks:swaks nc:netcat-openbsd systemd-analyze:systemd dnsmasq:dnsmasq-base"
perl_module="Net::SSLeay:libnet-ssleay-perl"

PATH=$PATH:/usr/sbin:/sbin
missing=()
for peer in $peers; do
	command -v "${peer%%:*}" >/dev/null || missing+=("${peer#*:}")
done
# dovecot comes with dovecot-core, which has no IMAP.
if command -v dovecot >/dev/null && [ ! -x /usr/lib/dovecot/imap-login ] && [ ! -x /usr/libexec/dovecot/imap-login ]; then
	missing+=(dovecot-imapd)
fi
perl -M"${perl_module%:*}" -e1 2>/dev/null || missing+=("${perl_module##*:}")

if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "peers.sh: not installed, and tests of them are left out (Debian's names): ${missing[*]}" >&2
	exit 0
fi

echo "peers.sh: installing ${missing[*]}"
# Debian starts a service as soon as it is installed, unless this says no (101).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } </dev/null; then
	echo "peers.sh: could not install ${missing[*]}" >&2
	[ "${IMAPAUTHD_PEERS:-}" != require ]
fi
