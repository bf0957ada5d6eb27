package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by packagers, who may build outside a repository:
//
//	go build -ldflags "-X main.version=1.2.3"
var version string

// versionCmd prints the version.
type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(std *streams) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintf(std.out, "imapauthd %s (%s, %s/%s)\n",
		cmp.Or(version, buildVersion(info)), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildVersion returns what the go command wrote into the binary: the module's
// version, which names revision and time where there is no tag, else the
// repository's state, else "devel".
func buildVersion(info *debug.BuildInfo) string {
	if info == nil {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	vcs := map[string]string{}
	for _, s := range info.Settings {
		vcs[s.Key] = s.Value
	}
	v := "devel"
	if rev := vcs["vcs.revision"]; rev != "" {
		v += "-" + rev[:min(12, len(rev))]
	}
	if vcs["vcs.modified"] == "true" {
		v += "+dirty"
	}
	if t := vcs["vcs.time"]; t != "" {
		v += " of " + t
	}
	return v
}
