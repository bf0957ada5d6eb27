#!/bin/bash
# Installs the programs that the tests talk to, where that can be done: as root on
# Debian and its children. Elsewhere it names what is missing, and the tests of
# those peers skip (or fail, with IMAPAUTHD_PEERS=require).
#
# Nothing that is installed here is started: the tests run their own Exim, Dovecot,
# saslauthd, Cyrus, Courier and Postfix, on ports and in folders of their own.
set -euo pipefail
cd "$(dirname "$0")"

# A program that tells whether a package is there, and the package; the same for Perl
# modules. systemd-analyze judges the README's unit; saslauthd, Python and
# Net::IMAP::Simple (under TLS with IO::Socket::SSL) are what others have asked an IMAP
# server with; swaks needs Net::SSLeay for TLS, Digest::HMAC for CRAM-MD5 and
# Authen::SASL for DIGEST-MD5; gsasl, curl and msmtp speak more mechanisms.
peers="exim4:exim4-daemon-heavy dovecot:dovecot-imapd swaks:swaks nc:netcat-openbsd systemd-analyze:systemd dnsmasq:dnsmasq-base openssl:openssl
	saslauthd:sasl2-bin python3:python3 gsasl:gsasl curl:curl msmtp:msmtp"
perl_modules="Net::SSLeay:libnet-ssleay-perl Net::IMAP::Simple:libnet-imap-simple-perl IO::Socket::SSL:libio-socket-ssl-perl
	Authen::SASL:libauthen-sasl-perl Digest::HMAC_MD5:libdigest-hmac-perl"

# Debian allows one IMAP server and one mail server on a machine. The others are
# unpacked, and nothing of theirs is installed: .peers/NAME is the root of a system
# that has all that the server's programs load, and no more (Debian 12's names). The
# first package is the server's own.
declare -A roots=(
	[cyrus]="cyrus-imapd cyrus-common sasl2-bin libsasl2-2 libsasl2-modules libsasl2-modules-db
		libc6 libcom-err2 libcrypt1 libdb5.3 libffi8 libgcc-s1 libgmp10 libgnutls30 libgssapi-krb5-2
		libhogweed6 libical3 libicu72 libidn2-0 libjansson4 libk5crypto3 libkeyutils1 libkrb5-3
		libkrb5support0 libldap-2.5-0 liblzma5 libnettle8 libnsl2 libp11-kit0 libpcre3 libpq5
		libsqlite3-0 libssl3 libstdc++6 libtasn1-6 libtirpc3 libunistring2 libuuid1 libwrap0
		libxapian30 libxml2 zlib1g"
	[courier]="courier-imap courier-base courier-authlib courier-authlib-userdb gamin
		libaudit1 libblkid1 libc6 libcap-ng0 libcourier-unicode4 libcrypt1 libffi8 libgamin0 libgcc-s1
		libgdbm6 libglib2.0-0 libgmp10 libgnutls30 libhogweed6 libidn12 libidn2-0 libltdl7 libmount1
		libnettle8 libp11-kit0 libpam0g libpcre2-8-0 libpcre3 libselinux1 libstdc++6 libtasn1-6
		libunistring2 zlib1g"
	[postfix]="postfix libsasl2-2 libsasl2-modules libsasl2-modules-db
		libc6 libcom-err2 libdb5.3 libgcc-s1 libgssapi-krb5-2 libicu72 libk5crypto3 libkeyutils1
		libkrb5-3 libkrb5support0 libnsl2 libssl3 libstdc++6 libtirpc3"
)

# server NAME prints the package that .peers/NAME is made for.
server() { echo "${roots[$1]%% *}"; }

PATH=$PATH:/usr/sbin:/sbin
missing=()
for peer in $peers; do
	command -v "${peer%%:*}" >/dev/null || missing+=("${peer#*:}")
done
# dovecot comes with dovecot-core, which has no IMAP.
if command -v dovecot >/dev/null && [ ! -x /usr/lib/dovecot/imap-login ] && [ ! -x /usr/libexec/dovecot/imap-login ]; then
	missing+=(dovecot-imapd)
fi
for module in $perl_modules; do
	perl -M"${module%:*}" -e1 2>/dev/null || missing+=("${module##*:}")
done
packed=()
for root in "${!roots[@]}"; do
	# The list is written into the folder, so that a new one has it made anew.
	[ "$(cat ".peers/$root/packages" 2>/dev/null)" = "${roots[$root]}" ] || packed+=("$root")
done

if [ $((${#missing[@]} + ${#packed[@]})) -eq 0 ]; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	for root in "${packed[@]}"; do
		missing+=("$(server "$root")")
	done
	echo "peers.sh: not installed, and tests of them are left out (Debian's names): ${missing[*]}" >&2
	exit 0
fi

temp=$(mktemp -d)
policy=
trap 'rm -rf "$temp" $policy' EXIT
export DEBIAN_FRONTEND=noninteractive

install() {
	[ $# -gt 0 ] || return 0
	echo "peers.sh: installing $*"
	# Debian starts a service as soon as it is installed, unless this says no (101).
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	apt-get install -y -qq --no-install-recommends "$@"
}

# unpack NAME makes .peers/NAME. It has its name only when it is whole.
unpack() {
	local root=$1 deb
	local debs=$temp/debs-$root new=$temp/$root
	echo "peers.sh: unpacking $root into tests/.peers"
	mkdir -p "$debs" "$new" .peers || return
	# shellcheck disable=SC2086 # a list of words
	(cd "$debs" && apt-get download -qq -o APT::Sandbox::User=root ${roots[$root]}) || return
	for deb in "$debs"/*.deb; do
		# /etc is the test's own; nothing of /usr/share is loaded.
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$new" --exclude=./etc --exclude=./usr/share --exclude=./usr/lib/debug --exclude='./usr/lib/*/gconv' || return
		dpkg-deb -W --showformat='${Package} ${Version}\n' "$deb" >>"$new/versions" || return
	done
	echo "${roots[$root]}" >"$new/packages"
	rm -rf ".peers/$root" ".peers/.$root" && mv "$new" ".peers/.$root" && mv ".peers/.$root" ".peers/$root"
}

failed=()
{
	apt-get update -qq && install "${missing[@]}" || failed+=("${missing[@]}")
	for root in "${packed[@]}"; do
		unpack "$root" || failed+=("$(server "$root")")
	done
} </dev/null
if [ ${#failed[@]} -gt 0 ]; then
	echo "peers.sh: could not install ${failed[*]}" >&2
	[ "${IMAPAUTHD_PEERS:-}" != require ]
fi
