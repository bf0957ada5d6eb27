//go:build ordinary

package tests

// tags are those that the daemon is built with: "ordinary" has no fast path.
const tags = "ordinary"
