package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/control/api"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version = ""

// build says what this binary is.
func build() api.Version {
	v := api.Version{Version: version, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = strings.Trim(info.Main.Version, "()")
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = " and changes"
			}
		}
	}
	if v.Commit != "" {
		v.Commit += dirty
	}
	return v
}

func versionText() string {
	v := build()
	if v.Version == "" {
		v.Version = "devel"
	}
	if v.Commit == "" {
		v.Commit = "unknown"
	}
	return fmt.Sprintf("%s (commit %s, %s %s/%s)", v.Version, v.Commit, v.Go, runtime.GOOS, runtime.GOARCH)
}

func (c *cli) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			fmt.Fprintln(c.out, "godwit "+versionText())
			return nil
		},
	}
}
