package main

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestBuildVersion(t *testing.T) {
	build := func(version string, settings ...string) *debug.BuildInfo {
		info := &debug.BuildInfo{Main: debug.Module{Version: version}}
		for i := 0; i < len(settings); i += 2 {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: settings[i], Value: settings[i+1]})
		}
		return info
	}
	const revision = "053d3bc1f0e2d3c4b5a697887766554433221100"
	tests := []struct {
		info *debug.BuildInfo
		want string
	}{
		{nil, "devel"},
		{build(""), "devel"},
		{build("(devel)"), "devel"},
		{build("v1.2.3"), "v1.2.3"},
		{build("v0.0.0-20251122071200-053d3bc1f0e2+dirty", "vcs.revision", revision), "v0.0.0-20251122071200-053d3bc1f0e2+dirty"},
		{build("(devel)", "vcs.revision", revision, "vcs.time", "2025-11-22T07:12:00Z", "vcs.modified", "false"), "devel-053d3bc1f0e2 of 2025-11-22T07:12:00Z"},
		{build("(devel)", "vcs.revision", "12", "vcs.modified", "true"), "devel-12+dirty"},
	}
	for _, tt := range tests {
		if got := buildVersion(tt.info); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.info, got, tt.want)
		}
	}
}

func TestVersionOverride(t *testing.T) {
	version = "1.2.3"
	defer func() { version = "" }()
	var b bytes.Buffer
	if err := (versionCmd{}).Run(&streams{out: &b}); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("imapauthd 1.2.3 (%s, %s/%s)\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if got := b.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
