#!/usr/bin/python3
# Does what the wiki's script does, step by step, in Python 3, whose imaplib takes host
# and port as two arguments: checkimappw.py server user password
import imaplib
import sys

if len(sys.argv) < 4:
    print("too few arguments")
    sys.exit(2)

host, _, port = sys.argv[1].partition(":")
try:
    m = imaplib.IMAP4_SSL(host, int(port or 993))
    m.login(sys.argv[2], sys.argv[3])
    m.logout()
except Exception as e:
    print("error", e.__class__)
    m.logout()  # and if there was no connection there is no m: NameError, exit status 1
    sys.exit(1)
print("OK")
