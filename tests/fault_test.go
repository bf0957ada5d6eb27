package tests

import "time"

// The faults, and where each is proven. Times are asserted in kind: quick (the fault does
// not show), within the daemon's own timeout, before or after.
//
//	IMAP server killed, restarted, hung     TestFaultServer, TestMatrix, TestOutcomes,
//	  (SIGSTOP)                             TestFailoverBack, TestRememberOutage, TestRelayHung
//	its processes or descriptors used up    TestFaultServer
//	its port odd in any other way           TestFailover, TestHostileServers
//	it is slow                              TestFaultSlow, TestDelaysRetry, TestFlightsBudget
//	its certificate expires mid-run         TestFaultCertificate; imap: TestProof
//	DNS gone                                TestFaultDNS, TestSRVDownAtStart, TestSRVDownLater
//	our own descriptors used up             TestFaultDescriptors, TestFaultLastDescriptor
//	  and SIGTERM                           TestFaultTermDescriptors
//	disk full for the log                   TestFaultLogFull, TestFaultLogRoom
//	log reader stuck                        TestStuckLog
//	clock stepped back and forth            TestFaultClock
//	SIGTERM with requests in flight         TestFaultTerm, TestLifecycleDrain
//	SIGKILL and restart                     TestFaultKill, TestLifecycleSocket
//	10,000 clients that say nothing         TestFaultCrowd; the cap as mail servers see it:
//	                                        TestLimitConnectionsExim

// faultTimeout is the daemon's timeout in the tests of faults.
const faultTimeout = 4 * time.Second
