// Package proto is the vocabulary that every room of imapauthd shares: what is
// asked (Request), what is answered (Verdict), and the one door between those
// who ask and those who know (Authenticator). It also holds what all front-ends
// need to be servers: the listening socket, the accept loop with its limits and
// its drain, and the reply that no peer can lose.
//
// A front-end, that is a protocol spoken to mail servers, is a package below
// this one. The words are those of RFC 4422 and RFC 4616: the authcid is the
// account whose password is checked, the authzid the account it wants to act as.
package proto
