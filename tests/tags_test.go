//go:build !ordinary

package tests

const tags = ""
