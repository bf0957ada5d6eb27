// Package tests holds the tests of the whole: the built daemon between real peers
// (Exim, Postfix and testsaslauthd before it; Dovecot, Cyrus and Courier behind it) and
// scripted ones, what it takes the place of (saslauthd, the recipes of Exim's wiki), and
// the rules of the house that no compiler checks.
//
// Everything runs on loopback and in temporary folders, with ports from the
// kernel; the machine's own Exim and Dovecot are not touched. A peer that is not
// installed, or that needs root, skips its tests by name; with
// IMAPAUTHD_PEERS=require in the environment it fails them.
package tests
